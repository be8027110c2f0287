"""Whether the master files of a bundle become what its strategies' own artifacts are (docs/patching.md)."""

from collections.abc import Iterable, Mapping

import numpy as np

from chordkit.errors import PatchError
from chordkit.export.artifact import Artifact
from chordkit.patching import MasterFile, carries_table
from chordkit.quantization import MasterWeights

_NOT_OF_THE_FILE = {"name", "precision", "strategy", "reference"}
# A factor that a lowering folds into scales is rounded to float32.
_ROUNDING = 1e-6


def problem_with_patches(
    artifacts: Iterable[tuple[Artifact, bytes | memoryview]], master: MasterWeights, strategies: Mapping[str, bytes]
) -> str | None:
    """Why a patch table does not make users' artifacts out of its file, or None; names are those of the artifacts.

    Every table is held against the master weights, layer by layer, and where an artifact was exported for a strategy too, the patched file
    against that artifact, byte by byte.

    Args:
        artifacts: what each is, and its file.
        master: the master weights that all were made from.
        strategies: in their wire form, by name.
    """
    files = [(artifact, data) for artifact, data in artifacts if artifact.precision != "fp32"]
    for everybody, data in files:
        if not carries_table(data):
            continue
        try:
            master_file = MasterFile(data)
        except PatchError as error:
            return f"artifact {everybody.name}: {error}"
        if not _is_of(master_file, master):
            return f"artifact {everybody.name}: its patch table is not that of the master weights"
        for mine, own in files:
            wire = strategies.get(mine.strategy or "")
            if wire is not None and _kind(mine) == _kind(everybody) and master_file.patched(wire) != own:
                return f"artifact {everybody.name}: patched for {mine.strategy} it is not artifact {mine.name}"
    return None


def _kind(artifact: Artifact) -> dict[str, object]:
    """What two files that differ in a strategy alone have in common."""
    return {name: getattr(artifact, name) for name in Artifact.model_fields if name not in _NOT_OF_THE_FILE}


def _is_of(file: MasterFile, master: MasterWeights) -> bool:
    """Whether codes, ratios and scales of a master file are those of the master weights, the scales up to one factor for each layer."""
    layers = [layer.rows for layer in master.layers.values()]
    if file.fingerprint != master.fingerprint or [rows.codes.shape for rows in layers] != [rows.codes.shape for rows in file.layers]:
        return False
    return all(
        np.array_equal(mine.codes, theirs.codes)
        and np.array_equal(mine.ratios, theirs.ratios)
        and np.allclose(mine.scales, theirs.scales * np.float64(layer.off_scale), rtol=_ROUNDING, atol=0)
        for layer, mine, theirs in zip(file.table.layers, file.layers, layers, strict=True)
    )
