"""The machine a number was measured on: a number without it is not kept."""

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import chordkit
from chordkit.provenance import checkout
from chordkit.runtime_bench.results import ClusterState, Machine, State

# The instruction sets that decide which kernel runs; the other hundred flags do not.
_FLAGS = frozenset(
    [
        "sse4_2",
        "avx",
        "avx2",
        "fma",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512_vnni",
        "avx_vnni",
        "avx_vnni_int8",
        "avx512_bf16",
        "amx_int8",
        "amx_bf16",
        "hypervisor",
        "neon",
        "asimd",
        "asimdhp",
        "asimddp",
        "i8mm",
        "sve",
        "sve2",
        "bf16",
        "sme",
        "sme2",
    ]
)
_PACKAGES = ("torch", "numpy", "executorch", "torchao", "ai-edge-litert", "onnx", "onnxruntime")


def describe(pinned_cpu: int | None = None) -> Machine:
    """Describe this machine, and the commit of this checkout (None when installed from a wheel)."""
    info = _cpu_info()
    flags = info.get("flags", info.get("Features", "")).split()
    commit, dirty = checkout()
    return Machine(
        cpu=info.get("model name") or info.get("CPU part") or platform.processor() or "unknown",
        architecture=platform.machine(),
        flags=tuple(sorted(_FLAGS.intersection(flags))),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        virtual="hypervisor" in flags,
        pinned_cpu=pinned_cpu,
        python=platform.python_version(),
        versions=_versions(),
        commit=commit,
        commit_dirty=dirty,
    )


def state(pinned_cpu: int | None = None) -> State:
    """The load of this machine now, and what the clock of one processor does, where the system tells."""
    cpu = pinned_cpu or 0
    folder = f"/sys/devices/system/cpu/cpu{cpu}/cpufreq"
    khz = _khz(f"{folder}/scaling_cur_freq")
    clock = ClusterState(
        cpus=(cpu,),
        governor=_read(f"{folder}/scaling_governor"),
        khz=() if khz is None else (khz,),
        allowed_min_khz=_khz(f"{folder}/scaling_min_freq"),
        allowed_max_khz=_khz(f"{folder}/scaling_max_freq"),
    )
    told = clock.governor is not None or clock.khz
    return State(at=datetime.now(UTC).isoformat(timespec="seconds"), load_average=os.getloadavg(), clusters=(clock,) if told else ())


def steal_ticks(cpu: int | None) -> tuple[int, int]:
    """Stolen and total clock ticks of ``cpu`` (None: of all) since boot, from /proc/stat; (0, 0) where there is none."""
    wanted = "cpu" if cpu is None else f"cpu{cpu}"
    for line in (_read("/proc/stat") or "").splitlines():
        name, *ticks = line.split()
        if name == wanted:
            numbers = [int(tick) for tick in ticks[:8]]
            return numbers[7] if len(numbers) == 8 else 0, sum(numbers)
    return 0, 0


def _cpu_info() -> dict[str, str]:
    info: dict[str, str] = {}
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, separator, value = line.partition(":")
        if separator:
            info.setdefault(name.strip(), value.strip())
    return info


def _versions() -> dict[str, str]:
    versions = {"chordkit": chordkit.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _khz(path: str) -> int | None:
    text = _read(path) or ""
    return int(text) if text.isdigit() else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
