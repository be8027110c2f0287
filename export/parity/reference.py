"""The reference that every artifact is held against: the PyTorch model, in batches. torch is imported when one is made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chordkit.export.parity.compare import Ids, ScoresFn

if TYPE_CHECKING:
    from chordkit.backbones import Backbone
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import Strategy

_BATCH = 256


def reference_scores(backbone: "Backbone") -> ScoresFn:
    """The scores function of a backbone: histories ``[n, length]``, candidates ``[n, candidates]`` -> float32 ``[n, candidates]``."""
    import torch

    backbone = backbone.eval()

    @torch.no_grad()
    def scores(histories: Ids, candidates: Ids) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(histories), _BATCH):
            hidden = backbone.encode(torch.from_numpy(np.ascontiguousarray(histories[start : start + _BATCH])))
            chosen = torch.from_numpy(np.ascontiguousarray(candidates[start : start + _BATCH]))
            parts.append(backbone.score(hidden, chosen).numpy())
        return np.concatenate(parts).astype(np.float32)

    return scores


def references(master: "MasterWeights", backbone: "Backbone | None", strategies: Mapping[str, "Strategy"]) -> dict[str, ScoresFn]:
    """A scores function for each reference that artifacts name: ``fp32`` (when there is a float model), ``int8``, and each strategy."""
    from chordkit.backbones import from_master

    found = {"int8": reference_scores(from_master(master))}
    if backbone is not None:
        found["fp32"] = reference_scores(backbone)
    return found | {name: reference_scores(from_master(master, strategy.widths)) for name, strategy in strategies.items()}
