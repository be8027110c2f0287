"""PyTorch itself as a runner: the baseline of every comparison. No target: nothing is exported to it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chordkit.export.targets.runner import Ids, Runner, Scores, Vector


class EagerRunner(Runner):
    """The PyTorch model itself, uncompiled.

    Args:
        backbone: a float model, or the reference of a master (``from_master``).
        threads: of PyTorch, for the whole process; None leaves it as it is.
        candidates: ids scored per call.
        user_vector: whether it takes a user vector.
    """

    def __init__(self, backbone: Any, threads: int | None = None, candidates: int = 100, user_vector: bool = False) -> None:
        import torch

        from chordkit.backbones import PersonalReranker, Reranker

        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = torch
        self._model = (PersonalReranker if user_vector else Reranker)(backbone).eval()
        self.length, self.candidates, self.items = backbone.config.max_length, candidates, backbone.config.items
        self.dim = backbone.config.dim if user_vector else None

    def scores(self, history: ArrayLike, candidates: ArrayLike, user: ArrayLike | None = None) -> Scores:
        """See :meth:`Runner.scores`; any number of candidates is taken."""
        self.candidates = int(np.size(np.asarray(candidates)))
        return super().scores(history, candidates, user)

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        inputs = [history, candidates] if user is None else [history, user, candidates]
        with self._torch.inference_mode():
            return self._model(*(self._torch.from_numpy(each[None]) for each in inputs)).numpy()[0]
