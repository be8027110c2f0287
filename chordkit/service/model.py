"""One backbone that is served: from profiles to strategies on the wire, the same bytes whatever they are computed beside."""

from pathlib import Path

import numpy as np

from chordkit.coda.matching import Matcher, require_backbone
from chordkit.coda.pool import Pool
from chordkit.coda.search import make_search
from chordkit.errors import SampleError
from chordkit.hypernetwork import StrategyMaker, load_hypernetwork
from chordkit.inputs import left_pad
from chordkit.quantization import MasterWeights
from chordkit.service.diary import Tell

MASTER, HYPERNETWORK, POOL = "master.chrm", "hypernetwork.safetensors", "pool.safetensors"
LARGEST_NUMBER = 1e6
"""A mean of item embeddings is far below."""


class Model:
    """A backbone's hypernetwork, and its pool of samples if there is one."""

    def __init__(self, maker: StrategyMaker, items: int, matcher: Matcher | None = None) -> None:
        maker.require_strategies()
        self.fingerprint, self.pools, self.width = maker.fingerprint, maker.pools, maker.width
        self.items, self.matcher = items, matcher
        self.budget, self.strategies = maker.budget, maker.strategies
        self._maker = maker

    @classmethod
    def load(cls, folder: Path, tell: Tell) -> "Model":
        """Read the files of a folder.

        Raises:
            InputError: one is missing, damaged, or does not belong to the others.
        """
        master = MasterWeights.load(folder / MASTER)
        network, _ = load_hypernetwork(folder / HYPERNETWORK, master)
        matcher = None
        if (folder / POOL).exists():
            pool = Pool.load(folder / POOL)
            try:
                require_backbone(pool, master)
            except SampleError as error:
                raise SampleError(f"{folder / POOL}: {error}") from None
            matcher = Matcher(pool, make_search(pool.codes, pool.scales, lambda text: tell("pool", text)))
        model = cls(StrategyMaker(network), master.items, matcher)
        # The first products of a process are slow: let them be nobody's.
        model.strategies(np.zeros((1, model.width), np.float32), model.budget(None))
        return model

    def profile(self, items: list[int], pools: tuple[int, ...]) -> np.ndarray:
        """The profile float32 ``[len(pools) * dim + 1]`` of a history, oldest item first."""
        found: np.ndarray = self._maker.profiles(left_pad([np.asarray(items, np.int32)], pools[-1]), pools)[0]
        return found
