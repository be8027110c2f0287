"""Which program measures an artifact of a target on a device."""

from dataclasses import dataclass
from pathlib import Path

from chordkit.errors import DeviceError
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.elf import check_abi
from chordkit.runtime_bench.emulated import prepared
from chordkit.runtime_bench.runners.executorch import executorch_program
from chordkit.runtime_bench.runners.launch import NATIVE
from chordkit.runtime_bench.runners.native import native_program
from chordkit.runtime_bench.runners.python import python_program

_MODULES = {"litert": ("ai_edge_litert", "tflite_runtime"), "onnx": ("onnxruntime",)}
"""Top-level modules of which one runs the target's files."""
_PACKAGES = {"litert": "ai-edge-litert", "onnx": "onnxruntime"}
EXECUTORCH = ("executorch", "executorch-chord", "executorch-chord-linear")
"""Targets whose files one program runs: it has the operators of all of them."""
_LOOK_S = 120.0
_FOUND, _MISSING = 0, 3


@dataclass(frozen=True)
class Program:
    """What is pushed and started: ``prefix`` stands before the file's place on the device, ``target`` is what the program calls it."""

    file: Path
    target: str
    prefix: tuple[str, ...] = ()


def program_for(target: str, device: Device) -> Program | str:
    """The program that measures artifacts of ``target`` on ``device``, or why there is none.

    Raises:
        DeviceError: the device does not answer.
    """
    if target == NATIVE:
        try:
            file = native_program(device.abi)
        except DeviceError as error:
            return str(error)
        check_abi(file, device.abi)
        return Program(file, NATIVE)
    if target in EXECUTORCH:
        return _executorch(device)
    if target not in _MODULES:
        return f"there is no program that runs {target} on a device; it is measured on the host"
    python = device.python()
    if python is None:
        return f"it has no Python that could run {_PACKAGES[target]}"
    names = repr(_MODULES[target])
    look = f"import sys; from importlib.util import find_spec; sys.exit({_FOUND} if any(map(find_spec, {names})) else {_MISSING})"
    status = device.run([*python, "-c", look], _LOOK_S).status
    if status != _FOUND:
        return f"its Python has no {_PACKAGES[target]}" if status == _MISSING else f"its Python does not run (status {status})"
    return Program(python_program(), target, python)


def _executorch(device: Device) -> Program | str:
    prefix, made = device.executorch(), prepared()
    if prefix is None or made is None:
        return "it has no ExecuTorch that chordkit knows how to link with; measure it on the host or on an emulator"
    try:
        file = executorch_program(device.abi, made.executorch_package, made.record.versions["libexecutorch"])
    except DeviceError as error:
        return str(error)
    return Program(file, EXECUTORCH[0], prefix)
