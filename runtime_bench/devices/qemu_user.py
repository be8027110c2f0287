"""arm64 programs on this machine's kernel under qemu-aarch64: ``qemu-user:cortex-a53|cortex-a76|max|...``.

For trying which kernel variant a processor gets, without booting anything. Nothing is timed here: qemu-user's clock is the host's, and it
counts no instructions.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import chordkit
from chordkit.errors import DeviceError
from chordkit.provenance import checkout
from chordkit.runtime_bench.devices.device import Completed, Device, DeviceList, Listed
from chordkit.runtime_bench.devices.local import completed, copy_whole
from chordkit.runtime_bench.elf import elf_abi
from chordkit.runtime_bench.emulated import COMMAND, Prepared, prepared
from chordkit.runtime_bench.emulated.python import INTERPRETER, executorch_prefix
from chordkit.runtime_bench.results import Cluster, Machine, State

CPUS = ("cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a76", "cortex-a710", "neoverse-n1", "neoverse-v1", "max")
"""Processors of phones and servers that QEMU knows, ``max`` with everything it can do."""

PULL_LIMIT = 64 << 20
"""Most bytes of a file that is taken from a device."""

_ABI = "arm64-v8a"
_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")


class QemuUser(Device):
    """A processor that runs arm64 programs in a folder of this machine.

    Programs that are arm64 ELF files run on the emulated processor; what is named without a folder (``rm``, ``sh``, ``cat``) is this
    machine's own.

    Args:
        cpu: one of :data:`CPUS`.
        made: what ``prepare`` made.

    Raises:
        DeviceError: there is no such processor.
    """

    emulated = True
    has_clock = False
    abi = _ABI

    def __init__(self, cpu: str, made: Prepared) -> None:
        if cpu not in CPUS:
            raise DeviceError(f"there is no device 'qemu-user:{cpu}'; use one of {', '.join(CPUS)} after 'qemu-user:'")
        self.name = f"qemu-user:{cpu}"
        self._cpu, self._made, self.emulated_cpu = cpu, made, cpu
        self._place = tempfile.TemporaryDirectory(prefix="chordkit-qemu-user-", ignore_cleanup_errors=True)
        self.folder = self._place.name

    def describe(self) -> Machine:
        about = os.uname()
        commit, dirty = checkout()
        versions = self._made.record.versions
        return Machine(
            cpu=f"{self._cpu}, qemu-user",
            architecture="aarch64",
            abi=_ABI,
            emulated=True,
            clusters=(Cluster(cpus=(0,), core=self._cpu, min_khz=None, max_khz=None),),
            flags=self._flags(),
            cores=1,
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            kernel=f"{about.release} (of the {about.machine} host)",
            virtual=True,
            pinned_cpu=None,
            python=versions["python"],
            versions={"chordkit": chordkit.__version__, **{name: versions[name] for name in sorted(versions) if name != "kernel"}},
            commit=commit,
            commit_dirty=dirty,
        )

    def state(self) -> State:
        return State(at=datetime.now(UTC).isoformat(timespec="seconds"), load_average=os.getloadavg(), bad=("EMULATOR",))

    def push(self, local: Path, remote: str) -> None:
        try:
            copy_whole(local, self._inside(remote))
        except OSError as problem:
            raise DeviceError(f"{self.name}: {local} cannot be copied to {remote} ({problem.strerror})") from None

    def pull(self, remote: str, local: Path) -> None:
        source = self._inside(remote)
        try:
            if (size := source.stat().st_size) > PULL_LIMIT:
                raise DeviceError(f"{self.name}: {remote} has {size:,} bytes; at most {PULL_LIMIT:,} are taken")
            copy_whole(source, local)
        except OSError as problem:
            raise DeviceError(f"{self.name}: {remote} cannot be copied to {local} ({problem.strerror})") from None

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            process = subprocess.Popen(
                self._command(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            return Completed(127, "", f"{command[0]}: not found")
        except OSError as problem:
            return Completed(126, "", f"{command[0]}: {problem.strerror}")
        try:
            return completed(process, timeout_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{self.name}: {Path(command[0]).name} took longer than {timeout_s:g} s and was ended") from None

    def python(self) -> tuple[str, ...]:
        """The prepared arm64 Python."""
        return (str(self._made.python_tree / INTERPRETER), "-E", "-s", "-B")

    def executorch(self) -> tuple[str, ...]:
        """What to put before a program in :attr:`folder` that is linked with the libraries of :attr:`Prepared.executorch_package`."""
        return executorch_prefix(str(self._made.python_tree))

    def close(self) -> None:
        self._place.cleanup()

    def _command(self, command: Sequence[str]) -> list[str]:
        program = command[0]
        if "/" not in program:
            return [*command]
        path = Path(self.folder, program)
        abi = elf_abi(path) if path.is_file() else None
        if abi not in (None, _ABI):
            raise DeviceError(f"{self.name}: {program} is a program for {abi}, this device runs {_ABI}; build it for arm64")
        if abi is None:
            return [*command]
        # -L: where dynamically linked programs find their libraries before this machine's.
        return [str(self._made.qemu_user), "-cpu", self._qemu_cpu(), "-L", str(self._made.python_tree), *command]

    def _qemu_cpu(self) -> str:
        return "max,pauth-impdef=on" if self._cpu == "max" else self._cpu

    def _flags(self) -> tuple[str, ...]:
        """What the processor can do, as a program on it is told by /proc/cpuinfo."""
        code = "print([line for line in open('/proc/cpuinfo') if line.startswith('Features')][0])"
        answer = self.run([*self.python(), "-c", code], 60.0)
        return tuple(sorted(set(answer.stdout.partition(":")[2].split()))) if answer.status == 0 else ()

    def _inside(self, remote: str) -> Path:
        path = Path(os.path.normpath(Path(self.folder, remote)))
        if not path.is_relative_to(self.folder):
            raise DeviceError(f"{self.name}: {remote} is outside the device's folder {self.folder}; use a path inside it")
        return path


def find() -> DeviceList:
    """The processors, when the program that emulates them is prepared."""
    made = prepared()
    remarks: tuple[str, ...] = ()
    if made is None:
        detail, remarks = "not prepared", (f"qemu-user is not prepared; `{COMMAND}` fetches it",)
    else:
        detail = f"qemu-aarch64 {made.record.versions['qemu-user']}, not for timing"
    devices = tuple(Listed(name=f"qemu-user:{cpu}", kind="emulated", detail=detail, measurable=made is not None) for cpu in CPUS)
    return DeviceList(devices=devices, remarks=remarks)


def connect(argument: str) -> Device:
    """The processor ``argument``.

    Raises:
        DeviceError: there is no such processor, or qemu-user is not prepared.
    """
    if argument not in CPUS:
        name = f"qemu-user:{argument}" if argument else "qemu-user"
        raise DeviceError(f"there is no device {name!r}; use one of {', '.join(CPUS)} after 'qemu-user:'")
    made = prepared()
    if made is None:
        raise DeviceError(f"qemu-user:{argument} is not prepared; run `{COMMAND}` once, which fetches 200 MB and needs no root")
    return QemuUser(argument, made)
