"""What goes into the demo's three bundles, and its artifacts in their folder."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chordkit.backbones import make_master
from chordkit.export.artifact import Precision
from chordkit.export.bundle import ArtifactContents
from chordkit.export.collection import INDEX, Sources, export_artifacts, read_folder, write_folder
from chordkit.export.targets import Target
from chordkit.hypernetwork import TrainedHypernetwork, make_static_strategy, to_strategy
from chordkit.progress import Progress
from chordkit.quantization import WIDTHS, ScalePolicy
from chordkit.strategy import Strategy

CANDIDATES = 100
PERSONAL, STATIC, FULL = "demo", "static", "fp32"
_FOLDER = "artifacts"


@dataclass(frozen=True)
class Shipment:
    """What goes into one bundle."""

    name: str
    holds: str
    trained: TrainedHypernetwork
    sources: Sources
    precisions: tuple[Precision, ...]


def personal_shipment(personal: TrainedHypernetwork, strategies: Mapping[str, Strategy]) -> Shipment:
    """The personal model, at some users' strategies."""
    return Shipment(PERSONAL, "the personal model", personal, Sources(personal.master, None, strategies), (Precision.STRATEGY,))


def static_shipment(static: TrainedHypernetwork) -> Shipment:
    """The static rival: one strategy for all."""
    shared = to_strategy(static.hypernetwork, make_static_strategy(static.hypernetwork))
    return Shipment(STATIC, "the static rival", static, Sources(static.master, None, {"static": shared}), (Precision.STRATEGY,))


def full_shipment(full: TrainedHypernetwork, average_bits: float) -> Shipment:
    """The FP32 rival, and what becomes of it when it is quantised evenly to as many bits as the others have on average."""
    # As in the comparison: what was trained in FP32 is rounded with least squared error.
    rounded, bits, even = make_master(full.backbone, ScalePolicy.MSE), int(average_bits), {}
    if bits == average_bits and bits in WIDTHS[:-1]:
        even[f"uniform{bits}"] = Strategy(np.full(rounded.channel_table.channels, bits, np.uint8), rounded.fingerprint)
    return Shipment(
        FULL,
        "the FP32 rival, and the same quantised evenly",
        full,
        Sources(rounded, full.backbone, even),
        tuple(Precision) if even else (Precision.FP32, Precision.INT8),
    )


def clear(out: Path) -> None:
    """Remove the artifacts of an earlier demo, whose backbones were others."""
    shutil.rmtree(out / _FOLDER, ignore_errors=True)


def export(
    shipment: Shipment, targets: Sequence[Target], out: Path, only: Sequence[Precision] = tuple(Precision), progress: Progress | None = None
) -> list[ArtifactContents]:
    """The artifacts of a shipment, as far as they are of some precisions, in the order of its precisions and of the targets.

    Only those are made that its folder lacks.

    Raises:
        CapabilityError: a target cannot run one.
    """
    folder = out / _FOLDER / shipment.name
    precisions = [str(each) for each in shipment.precisions if each in only]
    found = read_folder(folder)[1] if (folder / INDEX).exists() else []
    made: list[ArtifactContents] = []
    for precision in precisions:
        there = {each.target for each in found if each.precision == precision}
        able = [target for target in targets if precision in target.capability.precisions and target.name not in there]
        made += export_artifacts(able, shipment.sources, [precision], CANDIDATES, progress) if able else []
    if made:
        write_folder(folder, made, shipment.sources)
    order, names = [target.name for target in targets], [None, *shipment.sources.strategies]
    return sorted(
        (each for each in [*found, *made] if each.precision in precisions),
        key=lambda each: (precisions.index(each.precision), order.index(each.target), names.index(each.strategy)),
    )
