"""From profiles to strategies and user vectors: the same bytes for a user, whatever others are computed beside."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.errors import InputError, StrategyError
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.profile import pooled_profile, profile_width
from chordkit.hypernetwork.selection import Widths
from chordkit.strategy import Budget, allocate, encode_each, encode_user_vectors, encode_widths, quantize_user_vectors

# What a level-2 cache holds of 768 channels in float64.
_BATCH = 128
_ROWS = 8
_PROFILES = 1024


class StrategyMaker:
    """A hypernetwork that computes in float64 and rounds to float32 before anything is ranked or rounded to codes.

    What a product sums up first depends on how many rows it has and on the row's place among them, and a difference of 1e-6 would now and
    then turn two channels round. At 1e-15, behind the rounding, it does not: a float32 changes with a chance of about 1e-8, and a strategy
    only where another channel lies within that last bit and a border falls between the two.

    Args:
        network: trained; put into eval mode, and left as it is otherwise.
    """

    def __init__(self, network: Hypernetwork) -> None:
        network.eval()
        self.options, self.table, self.fingerprint = network.options, network.table, network.fingerprint
        self.items = network.item_embedding.shape[0] - 1
        self.pools = network.options.pools
        # Profiles are the phone's, in float32, and the CPU's wherever the rest is computed: their sums reach a strategy unrounded.
        self._embedding = network.item_embedding.float().cpu()
        self._device = network.offset.device
        self.width = profile_width(int(self._embedding.shape[1]), self.pools)
        # Everything is copied but the largest part, which is not needed twice.
        self._network: Hypernetwork = copy.deepcopy(network, {id(network.item_embedding): torch.zeros(0)}).double().requires_grad_(False)
        self._budgets: dict[float | None, Budget] = {}

    def require_strategies(self) -> None:
        """Hold that this hypernetwork makes strategies.

        Raises:
            InputError: it is the fp32 rival.
        """
        if not self.options.quantised:
            raise InputError("hypernetwork: it was trained with --fp32 and makes no strategies; train one without")

    def budget(self, bits: float | None) -> Budget:
        """What a strategy of so many average bits may cost; None = what the hypernetwork was trained for.

        Raises:
            StrategyError: its widths cannot have this average, or it was trained for a range that does not hold it.
        """
        found = self._budgets.get(bits)
        if found is None:
            options = self.options
            if bits is not None and options.budgets is not None and not options.budgets[0] <= bits <= options.budgets[1]:
                low, high = options.budgets
                raise StrategyError(
                    f"bits: {bits:g} are outside of {low:g} to {high:g}, which this backbone's hypernetwork was trained for"
                )
            found = self._budgets[bits] = options.budget if bits is None else options.budget_at(bits)
        return found

    @torch.inference_mode()
    def profiles(self, histories: NDArray[np.int32], pools: tuple[int, ...] | None = None) -> NDArray[np.float32]:
        """The profiles float32 ``[users, len(pools) * dim + 1]`` of histories int32 ``[users, length]``, left-padded with 0; ``pools`` are
        the hypernetwork's where none are given."""
        pools = pools or self.pools
        found = np.empty((len(histories), profile_width(int(self._embedding.shape[1]), pools)), np.float32)
        for start in range(0, len(histories), _PROFILES):
            rows = slice(start, start + _PROFILES)
            chunk = torch.from_numpy(np.ascontiguousarray(histories[rows]))
            found[rows] = pooled_profile(self._embedding, chunk, pools).numpy()
        return found

    @torch.inference_mode()
    def importance(self, profiles: NDArray[np.float32], bits: float | None = None) -> NDArray[np.float32]:
        """The importance float32 ``[users, channels]`` for profiles float32 ``[users, width]``, finite."""
        found = np.empty((len(profiles), self.table.channels), np.float32)
        for rows, chunk in self._chunks(profiles):
            found[rows] = self._network.importance(chunk, bits).cpu().numpy()[: len(found[rows])]
        return found

    def widths(self, profiles: NDArray[np.float32], budget: Budget) -> Widths:
        """The widths uint8 ``[users, channels]`` of users with profiles float32 ``[users, width]``, finite."""
        importance = self.importance(profiles, budget.average_bits)
        return allocate(importance, self.table, budget, allow_off=budget.may_switch_off)

    def wire(self, widths: Widths) -> NDArray[np.uint8]:
        """Widths uint8 ``[users, channels]`` as they travel: a ``CHRD`` a row, uint8 ``[users, bytes]``."""
        return encode_widths(widths, self.fingerprint)

    def strategies(self, profiles: NDArray[np.float32], budget: Budget) -> list[bytes]:
        """The wire bytes of the strategies of users with profiles float32 ``[users, width]``, finite."""
        return encode_each(self.widths(profiles, budget), self.fingerprint)

    @torch.inference_mode()
    def user_vectors(self, profiles: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The user vectors' codes int8 ``[users, dim]`` and scales float32 ``[users]``.

        Raises:
            InputError: the hypernetwork was trained without user vectors.
        """
        if not self.options.user_vector:
            raise InputError("user vectors: this hypernetwork makes none: train it with user_vector = True")
        found = np.empty((len(profiles), self._embedding.shape[1]), np.float32)
        for rows, chunk in self._chunks(profiles):
            found[rows] = self._network.user_vector(chunk).cpu().numpy()[: len(found[rows])]
        return quantize_user_vectors(found)

    def user_vectors_wire(self, profiles: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The user vectors as they travel: a ``CHRU`` a row, uint8 ``[users, bytes]``."""
        return encode_user_vectors(*self.user_vectors(profiles), self.fingerprint)

    def _chunks(self, profiles: NDArray[np.float32]) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(profiles), _BATCH):
            rows = slice(start, min(start + _BATCH, len(profiles)))
            count = rows.stop - start
            # Whole groups of rows, so that none is computed by the code for what is left over.
            padded = np.zeros((-(-count // _ROWS) * _ROWS, profiles.shape[1]))
            padded[:count] = profiles[rows]
            yield rows, torch.from_numpy(padded).to(self._device)
