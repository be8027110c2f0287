"""What a strategy saves in bytes: from the layers and tables of a master, at its own catalogue and at others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chordkit.backbones import build, default_config, make_master
from chordkit.evaluation.rivals import phone_bytes
from chordkit.quantization import MasterWeights, QuantizedTable, ScalePolicy
from chordkit.report.sizes import strategy_sizes
from chordkit.strategy import average_bits


@pytest.fixture(scope="module")
def master() -> MasterWeights:
    torch.manual_seed(0)
    return make_master(build(default_config("sasrec", 130, dim=16)), ScalePolicy.MSE)


def widths_of(master: MasterWeights) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)


def test_the_own_catalogue_is_counted_as_an_evaluation_counts_it(master: MasterWeights) -> None:
    widths = widths_of(master)
    own = strategy_sizes(master, widths).catalogues[0]
    assert own.own and own.items == 130
    assert own.strategy.total == phone_bytes(master, widths)
    assert own.int8.total == phone_bytes(master, np.full(len(widths), 8, np.uint8))
    assert own.fp32.total == 4 * sum(tensor.size for tensor in master.state_dict().values())


def test_an_int4_table_is_what_a_master_with_one_takes(master: MasterWeights) -> None:
    table = master.embeddings["item_embedding"]
    small = replace(master, embeddings=dict(master.embeddings, item_embedding=QuantizedTable(table.codes // 19, table.scales, 4)))
    widths = widths_of(master)
    assert strategy_sizes(master, widths).catalogues[0].strategy_small_tables.total == phone_bytes(small, widths)
    sizes = strategy_sizes(small, widths)
    assert sizes.table_bits == 4 and sizes.catalogues[0].strategy == sizes.catalogues[0].strategy_small_tables.model_copy(
        update={"name": "a strategy"}
    )


def test_in_a_large_catalogue_a_strategy_saves_the_same_bytes_of_more(master: MasterWeights) -> None:
    widths = widths_of(master)
    sizes = strategy_sizes(master, widths, (15_000, 130))
    assert sizes.average_bits == pytest.approx(average_bits(widths, master.channel_table))
    own, large = sizes.catalogues
    assert large.items == 15_000 and not large.own
    assert own.int8.total - own.strategy.total == large.int8.total - large.strategy.total > 0
    assert large.int8.tables - own.int8.tables == (15_000 - 130) * (16 + 4)
    assert large.fp32.tables - own.fp32.tables == (15_000 - 130) * 16 * 4
