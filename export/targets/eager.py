"""PyTorch itself as a runner: the baseline of every comparison. No target: nothing is exported to it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chordkit.export.targets.runner import Ids, Runner, Scores


class EagerRunner(Runner):
    """The PyTorch model itself, uncompiled.

    Args:
        backbone: a float model, or the reference of a master (``from_master``).
        threads: of PyTorch, for the whole process; None leaves it as it is.
        candidates: ids scored per call.
    """

    def __init__(self, backbone: Any, threads: int | None = None, candidates: int = 100) -> None:
        import torch

        from chordkit.backbones import Reranker

        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = torch
        self._model = Reranker(backbone).eval()
        self.length, self.candidates, self.items = backbone.config.max_length, candidates, backbone.config.items

    def scores(self, history: ArrayLike, candidates: ArrayLike) -> Scores:
        """See :meth:`Runner.scores`; any number of candidates is taken."""
        self.candidates = int(np.size(np.asarray(candidates)))
        return super().scores(history, candidates)

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        from_numpy = self._torch.from_numpy
        with self._torch.inference_mode():
            return self._model(from_numpy(history[None]), from_numpy(candidates[None])).numpy()[0]
