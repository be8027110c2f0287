"""The best of a large catalogue: the head of the sorted one, bit for bit, in whatever parts it is looked through."""

from typing import cast

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, build, make_master
from chordkit.kernels import Engine, available

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

ITEMS = 6000
CATALOGUE = np.arange(1, ITEMS + 1, dtype=np.int32)


def engine_with(kind: str) -> Engine:
    """Random rows; rows of which hundreds are the same and hundreds zero; or each better than the one before, for a positive state."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = build(CaserConfig(items=ITEMS, dim=16, max_length=5, filters=4, vertical_filters=2))
    table = cast(torch.Tensor, backbone.item_embedding.weight)
    with torch.no_grad():
        if kind == "ties":
            table[1:] = table[1 + torch.arange(ITEMS) % 7]
            table[1:][torch.arange(ITEMS) % 5 == 0] = 0.0
        elif kind == "ascending":
            table[1:] = torch.arange(1, ITEMS + 1)[:, None] / ITEMS
        elif kind == "descending":
            table[1:] = torch.arange(ITEMS, 0, -1)[:, None] / ITEMS
    return Engine(make_master(backbone).to_bytes())


@pytest.mark.parametrize("kind", ["random", "ties", "ascending", "descending"])
def test_the_best_are_the_head_of_the_sorted_catalogue(kind: str) -> None:
    engine = engine_with(kind)
    for history in (np.array([5, 900, 17]), np.array([2, 2, 5999, 256, 257])):
        scores = engine.scores(history, CATALOGUE)
        order = np.lexsort((CATALOGUE, -scores))
        left = order[~np.isin(CATALOGUE[order], history)]
        for k in (1, 12, 13, 63, 64, 65, 200, 1023, 1024, 1025, 3000, ITEMS - 3, ITEMS):
            for exclude, chosen in ((False, order), (True, left)):
                items, values = engine.top_k(history, k, exclude_history=exclude)
                assert items.tolist() == CATALOGUE[chosen][:k].tolist(), (kind, k, exclude)
                assert values.tobytes() == scores[chosen][:k].tobytes(), (kind, k, exclude)
