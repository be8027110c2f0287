"""Eager PyTorch as a contender: what the cloud runs, and the baseline that every artifact is compared with."""

import os

import numpy as np
import torch
from numpy.typing import NDArray

from chordkit.backbones import Backbone, Reranker, from_master
from chordkit.export import bundle
from chordkit.export.parity import Ids


class EagerRunner:
    """A backbone behind the runner's interface, on one thread."""

    def __init__(self, backbone: Backbone) -> None:
        torch.set_num_threads(1)
        self._reranker = Reranker(backbone).eval()

    def scores(self, history: Ids, candidates: Ids) -> NDArray[np.float32]:
        """Scores ``[candidates]`` of ``candidates [candidates]`` after ``history [length]``."""
        with torch.inference_mode():
            return self._reranker(torch.from_numpy(history).unsqueeze(0), torch.from_numpy(candidates).unsqueeze(0)).squeeze(0).numpy()


def load_eager(path: str | os.PathLike[str], strategy: str | None = None) -> EagerRunner:
    """The model of a bundle in eager PyTorch, with the dequantised weights of its master, or of one of its strategies.

    Raises:
        BundleError: the bundle is refused, or has no such strategy.
    """
    with bundle.open(path, verify=False) as opened:
        widths = None if strategy is None else opened.strategy(strategy).widths
        return EagerRunner(from_master(opened.master(), widths))
