"""Which processors a device has, of what kind, how fast they may run, and which of them to measure on.

Everything is read from a dictionary of files, path -> first line, as :mod:`chordkit.runtime_bench.android.state` brings it from
the device, and from the text of ``/proc/cpuinfo``.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android.cores import core_name
from chordkit.runtime_bench.results import Cluster, ClusterState

CPU = "/sys/devices/system/cpu"

FILES = (
    f"{CPU}/online",
    f"{CPU}/present",
    f"{CPU}/cpu[0-9]*/cpu_capacity",
    f"{CPU}/cpu[0-9]*/regs/identification/midr_el1",
    *(
        f"{CPU}/cpu[0-9]*/cpufreq/{name}"
        for name in (
            "related_cpus",
            "scaling_governor",
            "scaling_cur_freq",
            "scaling_min_freq",
            "scaling_max_freq",
            "cpuinfo_min_freq",
            "cpuinfo_max_freq",
        )
    ),
)
"""Files that this module reads, as patterns of the shell."""

Choice = Literal["big", "middle", "little"]
"""Which of the clusters that are online and allowed: the fastest, one between, the slowest."""

_MOST_CPUS = 1024
# The instruction sets that decide which kernel runs; an x86 kernel lists a hundred other flags.
_X86_FLAGS = ("sse4_2", "avx", "fma", "amx", "hypervisor")
_FIXED_GOVERNORS = ("performance", "userspace")


@dataclass(frozen=True)
class CpuInfo:
    """``/proc/cpuinfo``: (implementer, part) of each online processor where it says so, flags that all of them have, and a name."""

    kinds: dict[int, tuple[int, int]]
    numbers: tuple[int, ...]
    flags: tuple[str, ...]
    name: str | None


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The numbers in a list of the kernel's, ``0-3,6`` or ``0 1 2``; empty where it is not one."""
    numbers: set[int] = set()
    for word in re.split(r"[\s,]+", text.strip()):
        found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", word, re.ASCII)
        if not found:
            return ()
        first, last = int(found[1]), int(found[2] or found[1])
        if last >= _MOST_CPUS:
            return ()
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def parse_cpuinfo(text: str) -> CpuInfo:
    """What ``/proc/cpuinfo`` says; whatever it does not say is empty or None."""
    kinds: dict[int, tuple[int, int]] = {}
    numbers: list[int] = []
    flags: list[frozenset[str]] = []
    names: dict[str, str] = {}
    implementer: int | None = None
    unnamed = 0
    for line in text.splitlines():
        key, separator, value = (part.strip() for part in line.partition(":"))
        if not separator:
            continue
        if key == "processor" and re.fullmatch(r"\d{1,4}", value, re.ASCII):
            numbers.append(int(value))
            implementer, unnamed = None, unnamed + 1
        elif key == "CPU implementer":
            implementer = _hex(value, 0xFF)
        elif key == "CPU part":
            part = _hex(value, 0xFFF)
            # Kernels before 3.19 list all processors first and then describe one of them, without saying which.
            if unnamed == 1 and implementer is not None and part is not None:
                kinds[numbers[-1]] = (implementer, part)
            unnamed = 0
        elif key == "Features":
            flags.append(frozenset(value.split()))
        elif key == "flags":
            flags.append(frozenset(word for word in value.split() if word.startswith(_X86_FLAGS)))
        elif key in ("model name", "Hardware", "Model"):
            names.setdefault(key, value)
    common = frozenset.intersection(*flags) if flags else frozenset[str]()
    name = names.get("model name") or names.get("Hardware") or names.get("Model")
    return CpuInfo(kinds, tuple(dict.fromkeys(numbers)), tuple(sorted(common)), name or None)


def clusters(files: dict[str, str], info: CpuInfo) -> tuple[Cluster, ...]:
    """Processors of one kind each, the slowest first.

    A cluster is what shares a clock (``related_cpus`` of cpufreq) *and* a core: the Snapdragon 8 Gen 2 runs two kinds of core on one
    clock. Where there is no cpufreq, equal ``cpu_capacity`` and core make a cluster.
    """
    kinds = info.kinds | _midr(files)
    present = parse_cpu_list(files.get(f"{CPU}/present", "")) or info.numbers
    capacity = {cpu: _number(files.get(f"{CPU}/cpu{cpu}/cpu_capacity")) for cpu in present}
    policy = _policies(files, present)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for cpu in present:
        groups[_shared(policy[cpu], files), _kind(cpu, policy, kinds), capacity[cpu]].append(cpu)
    rows = [
        (
            Cluster(
                cpus=tuple(cpus),
                core=core_name(*kind) if (kind := next((kinds[cpu] for cpu in cpus if cpu in kinds), None)) else None,
                min_khz=_first(files, cpus, "cpuinfo_min_freq"),
                max_khz=_first(files, cpus, "cpuinfo_max_freq"),
            ),
            capacity[cpus[0]],
        )
        for cpus in groups.values()
    ]
    by_capacity = all(each is not None for _, each in rows)
    rows.sort(key=lambda row: ((row[1] or 0) if by_capacity else 0, row[0].max_khz or 0, row[0].cpus))
    return tuple(cluster for cluster, _ in rows)


def measuring_cluster(
    known: Sequence[Cluster], online: Collection[int], allowed: Collection[int] | None = None, choice: Choice = "big"
) -> Cluster:
    """The cluster to measure on, with those of its processors that can be used.

    Args:
        known: of :func:`clusters`, the slowest first.
        online: processors that are switched on.
        allowed: processors that the shell's cpuset has; None: not known, so all.

    Raises:
        DeviceError: no processor can be used, or there is no cluster between the fastest and the slowest.
    """
    usable = [
        cluster.model_copy(update={"cpus": cpus})
        for cluster in known
        if (cpus := tuple(cpu for cpu in cluster.cpus if cpu in online and (allowed is None or cpu in allowed)))
    ]
    if not usable:
        raise DeviceError("no processor of the device is both online and allowed to the shell, so there is none to measure on")
    if choice == "middle":
        if len(usable) < 3:
            raise DeviceError(f"the device has {len(usable)} kinds of usable processors, so there is none between; choose big or little")
        return usable[len(usable) // 2]
    return usable[-1 if choice == "big" else 0]


def cluster_states(files: dict[str, str], known: Sequence[Cluster]) -> tuple[ClusterState, ...]:
    """What the clocks do now; only of clusters whose clock can be read."""
    states = []
    for cluster in known:
        khz = [_number(files.get(_freq(cpu, "scaling_cur_freq"))) for cpu in cluster.cpus]
        governor = next((value for cpu in cluster.cpus if (value := files.get(_freq(cpu, "scaling_governor")))), None)
        state = ClusterState(
            cpus=cluster.cpus,
            governor=governor,
            khz=tuple(each for each in khz if each is not None),
            allowed_min_khz=_first(files, cluster.cpus, "scaling_min_freq"),
            allowed_max_khz=_first(files, cluster.cpus, "scaling_max_freq"),
        )
        if state.governor or state.khz or state.allowed_max_khz:
            states.append(state)
    return tuple(states)


def unlocked(states: Sequence[ClusterState]) -> bool:
    """Whether a clock may move by itself: its lowest and highest allowed frequency differ and its governor is a moving one.

    AndroidX says UNLOCKED of rooted devices only, by the frequencies of all cores together; here it is said of any device whose clocks
    can be read, because a clock that moves is what spreads the numbers, and a fixed governor (performance, userspace) counts as locked.
    """
    return any(
        state.allowed_min_khz is not None
        and state.allowed_max_khz is not None
        and state.allowed_min_khz != state.allowed_max_khz
        and state.governor not in _FIXED_GOVERNORS
        for state in states
    )


def _policies(files: dict[str, str], present: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """The processors that share a clock with each; empty where cpufreq says nothing of it."""
    policy: dict[int, tuple[int, ...]] = dict.fromkeys(present, ())
    for cpu in present:
        related = tuple(other for other in parse_cpu_list(files.get(_freq(cpu, "related_cpus"), "")) if other in policy)
        # An offline processor has no cpufreq folder of its own, but its neighbours name it.
        for each in related:
            policy[each] = policy[each] or related
    return policy


def _shared(related: tuple[int, ...], files: dict[str, str]) -> object:
    """What tells one clock from another. Clocks of one processor each with the same range (many laptops and servers) are not told apart."""
    if len(related) != 1:
        return related
    return _first(files, related, "cpuinfo_min_freq"), _first(files, related, "cpuinfo_max_freq")


def _kind(cpu: int, policy: dict[int, tuple[int, ...]], kinds: dict[int, tuple[int, int]]) -> tuple[int, int] | None:
    """Implementer and part; an offline processor takes those of its clock's others where these agree."""
    if cpu in kinds:
        return kinds[cpu]
    others = {kinds[other] for other in policy[cpu] if other in kinds}
    return others.pop() if len(others) == 1 else None


def _midr(files: dict[str, str]) -> dict[int, tuple[int, int]]:
    """(implementer, part) from the registers that the kernel shows: bits 31-24 and 15-4."""
    found = {}
    for path, text in files.items():
        match = re.fullmatch(rf"{CPU}/cpu(\d{{1,4}})/regs/identification/midr_el1", path, re.ASCII)
        value = _hex(text, 0xFFFF_FFFF) if match else None
        if match and value:
            found[int(match[1])] = (value >> 24, (value >> 4) & 0xFFF)
    return found


def _freq(cpu: int, name: str) -> str:
    return f"{CPU}/cpu{cpu}/cpufreq/{name}"


def _first(files: dict[str, str], cpus: Sequence[int], name: str) -> int | None:
    return next((value for cpu in cpus if (value := _number(files.get(_freq(cpu, name)))) is not None), None)


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else None


def _hex(text: str, most: int) -> int | None:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        return None
    value = int(text, 16)
    return value if value <= most else None
