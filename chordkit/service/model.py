"""One backbone that is served: from profiles to strategies on the wire, the same bytes whatever they are computed beside."""

from pathlib import Path

import numpy as np
import torch

from chordkit.coda.matching import Matcher, require_backbone
from chordkit.coda.pool import Pool
from chordkit.coda.search import make_search
from chordkit.errors import InputError, SampleError, StrategyError
from chordkit.hypernetwork import load_hypernetwork
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.profile import pooled_profile, profile_width
from chordkit.inputs import left_pad
from chordkit.quantization import MasterWeights
from chordkit.service.diary import Tell
from chordkit.strategy import Budget, allocate, encode_each

MASTER, HYPERNETWORK, POOL = "master.chrm", "hypernetwork.safetensors", "pool.safetensors"
LARGEST_NUMBER = 1e6
"""A mean of item embeddings is far below."""
_ROWS = 8


class Model:
    """A backbone's hypernetwork, and its pool of samples if there is one.

    The network runs in float64 and its importances are rounded to float32: what a product sums up first depends on how many rows it has,
    and a difference of 1e-6 would now and then turn two channels round. At 1e-15, behind the rounding, it does not.
    """

    def __init__(self, network: Hypernetwork, items: int, matcher: Matcher | None = None) -> None:
        if not network.options.quantised:
            raise InputError("hypernetwork: it was trained with --fp32 and makes no strategies; train one without")
        self.fingerprint = network.fingerprint
        self.items, self.matcher = items, matcher
        self.pools = network.options.pools
        # Profiles of items are the phone's, in float32.
        self._embedding = network.item_embedding.float()
        self.width = profile_width(int(self._embedding.shape[1]), self.pools)
        self._network = network.eval().double()
        self._network.item_embedding = self._embedding
        self._budgets: dict[float | None, Budget] = {}

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
        model = cls(network, master.items, matcher)
        # The first products of a process are slow: let them be nobody's.
        model.strategies(np.zeros((_ROWS, model.width), np.float32), model.budget(None))
        return model

    def budget(self, bits: float | None) -> Budget:
        """What a strategy of so many average bits may cost; None = what the hypernetwork was trained for.

        Raises:
            StrategyError: its widths cannot have this average, or it was trained for a range that does not hold it.
        """
        found = self._budgets.get(bits)
        if found is None:
            options = self._network.options
            if bits is not None and options.budgets is not None and not options.budgets[0] <= bits <= options.budgets[1]:
                low, high = options.budgets
                raise StrategyError(
                    f"bits: {bits:g} are outside of {low:g} to {high:g}, which this backbone's hypernetwork was trained for"
                )
            found = self._budgets[bits] = options.budget if bits is None else options.budget_at(bits)
        return found

    @torch.inference_mode()
    def profile(self, items: list[int], pools: tuple[int, ...]) -> np.ndarray:
        """The profile float32 ``[len(pools) * dim + 1]`` of a history, oldest item first."""
        histories = torch.from_numpy(left_pad([np.asarray(items, np.int32)], pools[-1]))
        found: np.ndarray = pooled_profile(self._embedding, histories, pools).numpy()[0]
        return found

    @torch.inference_mode()
    def strategies(self, profiles: np.ndarray, budget: Budget) -> list[bytes]:
        """The wire bytes of the strategies of users with profiles float32 ``[users, width]``, finite."""
        # Whole groups of rows, so that none is computed by the code for what is left over.
        padded = np.zeros((-(-len(profiles) // _ROWS) * _ROWS, self.width))
        padded[: len(profiles)] = profiles
        importance = self._network.importance(torch.from_numpy(padded), budget.average_bits)[: len(profiles)].numpy()
        widths = allocate(importance.astype(np.float32), self._network.table, budget, allow_off=budget.may_switch_off)
        return encode_each(widths, self.fingerprint)
