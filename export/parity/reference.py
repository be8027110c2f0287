"""The reference that every artifact is held against: the PyTorch model, in batches. torch is imported when one is made."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chordkit.export.parity.compare import Ids, ScoresFn, Vectors

if TYPE_CHECKING:
    from torch import Tensor

    from chordkit.backbones import Backbone
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import Strategy

_BATCH = 256


def reference_scores(backbone: "Backbone") -> ScoresFn:
    """The scores function of a backbone: histories ``[n, length]``, candidates ``[n, candidates]``, perhaps user vectors ``[n, dim]`` ->
    float32 ``[n, candidates]``; candidates None are all items."""
    import torch

    backbone = backbone.eval()

    @torch.no_grad()
    def scores(histories: Ids, candidates: Ids | None, users: Vectors | None = None) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(histories), _BATCH):
            batch = slice(start, start + _BATCH)
            history = torch.from_numpy(np.ascontiguousarray(histories[batch]))
            user = None if users is None else torch.from_numpy(np.ascontiguousarray(users[batch], np.float32))
            hidden = backbone.encode_personal(history, user)
            if candidates is None:
                parts.append(backbone.score_all(hidden)[:, 1:].numpy())
            else:
                parts.append(backbone.score(hidden, torch.from_numpy(np.ascontiguousarray(candidates[batch]))).numpy())
        return np.concatenate(parts).astype(np.float32)

    return scores


def reranker_scores(reranker: "Callable[..., Tensor]") -> ScoresFn:
    """The scores function of a re-ranker ``(history [1, L], perhaps user [1, dim], candidates [1, C]) -> scores [1, C]`` in PyTorch."""
    import torch

    @torch.no_grad()
    def scores(histories: Ids, candidates: Ids, users: Vectors | None = None) -> NDArray[np.floating]:
        inputs = [histories, candidates] if users is None else [histories, users, candidates]
        return torch.cat([reranker(*(torch.from_numpy(each[None].copy()) for each in row)) for row in zip(*inputs, strict=True)]).numpy()

    return scores


def references(master: "MasterWeights", backbone: "Backbone | None", strategies: Mapping[str, "Strategy"]) -> dict[str, ScoresFn]:
    """A scores function for each reference that artifacts name: ``fp32`` (when there is a float model), ``int8``, and each strategy."""
    from chordkit.backbones import from_master

    found = {"int8": reference_scores(from_master(master))}
    if backbone is not None:
        found["fp32"] = reference_scores(backbone)
    return found | {name: reference_scores(from_master(master, strategy.widths)) for name, strategy in strategies.items()}
