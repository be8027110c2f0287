"""Where the instructions of a call of the native engine go: by function and by layer, with the code and the data that it touches.

qemu-user runs the static program with a plugin (``profile_plugin.c``) that follows the calls and sees which layer's weights a function
reads. A number is the difference of two runs that differ only in their number of calls, so that start-up and output drop out. Numbers
repeat exactly; they say nothing of caches, clocks or the width of a core.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chordkit.errors import DeviceError
from chordkit.export.parity import Ids
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.runners.cache import kept
from chordkit.runtime_bench.runners.launch import NATIVE, Launch
from chordkit.runtime_bench.runners.native import native_program
from chordkit.runtime_bench.walk import walk_of

PLUGIN = Path(__file__).with_name("profile_plugin.c")
QEMU = "qemu-aarch64"
"""The dynamically linked emulator: a static one cannot load plugins."""
CALL = "bench_call"
"""The function of ``chord_runner`` that makes one call."""

_ABI = "arm64-v8a"
_FLAGS = ("-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden")
_TIMEOUT_S = 900.0
_INSTRUCTION = 4
"""Sets of weights of a model; a layer lies in each of them."""


@dataclass(frozen=True)
class Profile:
    """One call, the mean over all histories.

    Attributes:
        by_function: executed instructions.
        by_layer: the same instructions; what a function executes while it reads weights goes by the layer's name, or those of several
            that it reads at once (``blocks.0.query+key+value``), the rest by the function's.
        code_bytes: distinct bytes of code that the calls execute.
        bytes_read, bytes_written: of data, each access counted.
    """

    by_function: dict[str, float]
    by_layer: dict[str, float]
    code_bytes: int
    bytes_read: float
    bytes_written: float

    @property
    def instructions(self) -> float:
        """Of the whole call."""
        return sum(self.by_function.values())


@dataclass
class Counted:
    """What the plugin saw in one run.

    Attributes:
        parts: instructions by function, and by first and last layer that it read meanwhile (-1: none).
        code: executions by address of an instruction; owner: the function of each.
        read, written: bytes.
        layers: how many places of layers the program told.
    """

    parts: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    code: Counter[int] = field(default_factory=Counter)
    owner: dict[int, str] = field(default_factory=dict)
    read: int = 0
    written: int = 0
    layers: int = 0

    def by_function(self) -> Counter[str]:
        """Instructions."""
        found: Counter[str] = Counter()
        for (function, _, _), instructions in self.parts.items():
            found[function] += instructions
        return found


def profile_contender(
    artifact: Path, strategy: Path | None, user: Path | None, histories: Ids, candidates: Ids, cpu: str, variant: str | None = None
) -> Profile:
    """:func:`profile_native` of a contender's files on the bench's inputs.

    Args:
        artifact: master weights; strategy, user: what is adopted, as the engine takes it.
        histories: int32 ``[n, length]``; candidates: int32 ``[n, candidates]``.
        cpu: a processor that QEMU knows, ``cortex-a76``.
        variant: of the kernels; None = the fastest that the processor runs.

    Raises:
        DeviceError: see :func:`profile_native`.
    """
    walk = walk_of(histories, candidates)
    with tempfile.TemporaryDirectory(prefix="chordkit-profile-") as name:
        folder = Path(name)
        for file, ids in (("histories", walk.histories), ("candidates", walk.candidates)):
            np.ascontiguousarray(ids, dtype="<i4").tofile(folder / file)
        launch = Launch(
            target=NATIVE,
            artifact=str(artifact),
            strategy=None if strategy is None else str(strategy),
            user=None if user is None else str(user),
            histories=str(folder / "histories"),
            candidates=str(folder / "candidates"),
            users=len(walk.histories),
            scores=str(folder / "scores"),
            records=str(folder / "records"),
            variant=variant,
        )
        return profile_native(launch, cpu)


def profile_native(launch: Launch, cpu: str) -> Profile:
    """Profile the calls of a launch of the native engine, whose files are this machine's.

    Raises:
        DeviceError: qemu-user or a compiler is missing, or the program refuses a file.
    """
    command = [str(native_program(_ABI, profiled=True))]
    plugin = plugin_library()
    few, many = (counted(plugin, [*command, *launch.counting(calls).arguments()], cpu, CALL) for calls in (launch.users, 2 * launch.users))
    names = [layer.name for layer in MasterWeights.load(launch.artifact).channel_table.layers]
    if not few.layers or few.layers % len(names) or few.layers != many.layers:
        raise DeviceError(f"{launch.artifact}: its program tells {few.layers} places of {len(names)} layers; clear the cache of programs")

    def mean(more: float, less: float) -> float:
        return (more - less) / launch.users

    by_function: defaultdict[str, float] = defaultdict(float)
    by_layer: defaultdict[str, float] = defaultdict(float)
    for (function, first, last), instructions in many.parts.items():
        value = mean(instructions, few.parts[function, first, last])
        # The calling function is ours, and no part of the engine.
        if value == 0 or function == CALL:
            continue
        by_function[function] += value
        by_layer[function if first < 0 else _merged(names[first % len(names) : last % len(names) + 1])] += value
    return Profile(
        by_function=_largest_first(by_function),
        by_layer=_largest_first(by_layer),
        code_bytes=_INSTRUCTION * sum(1 for at, runs in many.code.items() if runs > few.code[at] and many.owner[at] != CALL),
        bytes_read=mean(many.read, few.read),
        bytes_written=mean(many.written, few.written),
    )


def _largest_first(values: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda pair: -pair[1]))


def _merged(names: Sequence[str]) -> str:
    """``blocks.0.query+key+value`` of layers of one block."""
    block = names[0].rpartition(".")[0] + "."
    return "+".join([names[0], *(name.removeprefix(block) for name in names[1:])])


def plugin_library() -> Path:
    """The plugin, compiled for this machine when the cache has none yet.

    Raises:
        DeviceError: there is no compiler, or it refuses.
    """
    compiler = next((path for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name and (path := shutil.which(name))), None)
    if compiler is None:
        raise DeviceError("counting instructions needs a C compiler for the plugin of qemu-user: apt-get install gcc")

    def make(path: Path) -> None:
        done = subprocess.run([compiler, *_FLAGS, "-o", str(path), str(PLUGIN)], capture_output=True, text=True)
        if done.returncode:
            raise DeviceError(f"the plugin of qemu-user cannot be compiled with {compiler}: {done.stderr.strip()[-300:]}")

    digest = hashlib.sha256(repr((compiler, os.uname().machine, _FLAGS)).encode() + PLUGIN.read_bytes()).hexdigest()
    return kept("profile_plugin.so", digest, make)


def counted(plugin: Path, command: Sequence[str], cpu: str, root: str | None = None, *more: str) -> Counted:
    """What a program executes on an emulated processor; with a ``root`` inside of calls of that function only. ``more``: options of qemu.

    Raises:
        DeviceError: the emulator is missing or loads no plugins, or the program fails.
    """
    with tempfile.TemporaryDirectory(prefix="chordkit-profile-") as folder:
        out = Path(folder) / "counted"
        # A comma in a path is written twice.
        words = [str(plugin), f"out={out}", *([] if root is None else [f"root={root}"])]
        call = [QEMU, "-cpu", cpu, *more, "-plugin", ",".join(word.replace(",", ",,") for word in words), *command]
        try:
            done = subprocess.run(call, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S)
        except FileNotFoundError:
            raise DeviceError(f"{QEMU} is not installed, and instructions are counted with it: apt-get install qemu-user") from None
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{command[0]}: took longer than {_TIMEOUT_S:.0f} s under {QEMU} and was ended") from None
        if done.returncode != 0 or not out.is_file():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            if "plugin" in said:
                said += "; this qemu-user is static or was built without plugins, that of Debian 12 has them"
            raise DeviceError(f"{command[0]}: ended with status {done.returncode} under {QEMU}: {said}")
        return _read(out)


def _read(path: Path) -> Counted:
    found = Counted()
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "part":
            instructions, first, last, function = rest.split(" ", 3)
            found.parts[function, int(first), int(last)] += int(instructions)
        elif kind == "code":
            start, size, runs, function = rest.split(" ", 3)
            for at in range(int(start), int(start) + int(size), _INSTRUCTION):
                found.code[at] += int(runs)
                found.owner[at] = function
        elif kind == "data":
            found.read, found.written = map(int, rest.split())
        elif kind == "layers":
            found.layers = int(rest)
    return found
