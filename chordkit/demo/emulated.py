"""The personal model on an emulated phone, where one is prepared."""

from collections.abc import Sequence
from pathlib import Path

from chordkit.errors import DeviceError
from chordkit.export.bundle import ArtifactContents
from chordkit.progress import Progress
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.devices.registry import connect, list_devices
from chordkit.runtime_bench.results import BenchReport
from chordkit.runtime_bench.session import device_settings


def on_emulated_phone(
    path: Path, public_key: Path, artifacts: Sequence[ArtifactContents], progress: Progress | None
) -> tuple[BenchReport | None, list[str]]:
    """One strategy in the native engine and in LiteRT on an emulated phone, where one is prepared; else why there is nothing to show."""
    chosen = [next((each.name for each in artifacts if each.target == target), None) for target in ("litert", "native")]
    names = [name for name in chosen if name is not None]
    ready = any(device.measurable and device.name.startswith("emulator:") for device in list_devices().devices)
    if not ready or not names:
        return None, []
    try:
        with connect("emulator") as device:
            return bench_bundles([path], names, device_settings(device), progress, device, public_key=public_key), []
    except DeviceError as error:
        return None, [f"The emulated phone could not be measured on: {error}."]
