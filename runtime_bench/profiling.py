"""Counts by layer and function in a report of an emulated device."""

from collections.abc import Sequence
from dataclasses import fields

from chordkit.errors import DeviceError
from chordkit.export.parity import Ids
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.results import BenchReport, Counts
from chordkit.runtime_bench.runners.launch import NATIVE
from chordkit.runtime_bench.runners.profile import profile_contender


def profiled(report: BenchReport, device: Device, contenders: Sequence[Contender], histories: Ids, candidates: Ids) -> BenchReport:
    """``report`` with the native engine's counts by layer and function, made on this machine for the device's processor.

    Raises:
        DeviceError: the device is not emulated, or qemu-user or a compiler is missing.
    """
    if device.emulated_cpu is None:
        raise DeviceError(f"{device.name}: only an emulated device tells instructions by layer; use emulator or qemu-user:cortex-a76")
    files, results = {contender.name: contender for contender in contenders}, []
    for result in report.results:
        contender = files[result.name]
        if result.target == NATIVE and contender.file is not None and contender.app is None:
            found = profile_contender(contender.file, contender.strategy, contender.user, histories, candidates, device.emulated_cpu)
            counts = result.counts or Counts(per_call=found.instructions)
            parts = {field.name: getattr(found, field.name) for field in fields(found)}
            result = result.model_copy(update={"counts": counts.model_copy(update=parts)})
        results.append(result)
    return report.model_copy(update={"results": tuple(results)})
