"""An arm64 machine of chordkit's own, made of Debian's packages without root and run by QEMU, which stands in where there is no phone.

``prepare`` makes what it takes, once; ``EmulatedMachine`` boots it. The devices ``emulator`` and ``qemu-user`` use both.
"""

from chordkit.runtime_bench.emulated.machine import EmulatedMachine
from chordkit.runtime_bench.emulated.prepare import COMMAND, Prepared, PreparedReport, prepare, prepared

__all__ = ["COMMAND", "EmulatedMachine", "Prepared", "PreparedReport", "prepare", "prepared"]
