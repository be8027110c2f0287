"""Strategies of all users in one table: what one by one gives, in parts that a killed run does not make again."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.data import Dataset, left_pad, synthesize
from chordkit.errors import CheckpointError, InputError
from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions, bulk, make_strategies, make_user_vectors, to_strategy
from chordkit.strategy import decode_user_vector, to_wire

PART = 16


class Stop(Exception):
    """Stands for a kill."""


@pytest.fixture
def dataset() -> Dataset:
    return synthesize(1, users=50, items=40, mean_length=10, max_length=20)


def network_of(dataset: Dataset, *, user_vector: bool = False) -> Hypernetwork:
    options = HypernetworkOptions(user_vector=user_vector)
    return Hypernetwork(make_master(build(SASRecConfig(items=dataset.items, dim=16, max_length=8)), options.scale_policy), options)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PART", PART)


@pytest.mark.parametrize("user_vector", [False, True])
def test_the_table_has_what_each_user_would_get_alone(dataset: Dataset, user_vector: bool, tmp_path: Path) -> None:
    network = network_of(dataset, user_vector=user_vector)
    made = bulk.make_all_strategies(network, dataset, tmp_path / "all.parquet", 3.0)
    table = pl.read_parquet(tmp_path / "all.parquet")
    assert (made.users, made.resumed, table.height) == (50, 0, 50) and table["user"].to_list() == list(dataset.user_ids)
    assert ("user_vector" in table.columns) is user_vector and made.average_bits <= 3.0
    histories = left_pad(dataset.sequences, network.options.pools[-1])
    for row in (0, 15, 16, 49):
        widths = make_strategies(network, histories[row : row + 1], 3.0)[0]
        assert table["strategy"][row] == to_wire(to_strategy(network, widths))
        if user_vector:
            # A product of another batch rounds otherwise; a step of the codes is 1/127 of the largest.
            alone = make_user_vectors(network, histories[row : row + 1])[0]
            vector = decode_user_vector(table["user_vector"][row], fingerprint=network.fingerprint, dim=16)
            np.testing.assert_allclose(vector.values, alone, atol=1.01 * np.abs(alone).max() / 127)
    assert not (tmp_path / "all.parquet.parts").exists()


def test_a_killed_run_goes_on_after_its_last_part(dataset: Dataset, tmp_path: Path) -> None:
    network = network_of(dataset)
    bulk.make_all_strategies(network, dataset, tmp_path / "whole.parquet")

    def stop(phase: str, done: int, total: int) -> None:
        assert (phase, total) == ("strategies", 50)
        if done == 2 * PART:
            raise Stop

    out = tmp_path / "all.parquet"
    with pytest.raises(Stop):
        bulk.make_all_strategies(network, dataset, out, progress=stop)
    assert not out.exists()
    assert bulk.make_all_strategies(network, dataset, out).resumed == 2 * PART
    assert pl.read_parquet(out).equals(pl.read_parquet(tmp_path / "whole.parquet"))


def test_parts_of_another_run_are_not_taken_for_this_one(dataset: Dataset, tmp_path: Path) -> None:
    network, out = network_of(dataset), tmp_path / "all.parquet"

    def stop(phase: str, done: int, total: int) -> None:
        if done:
            raise Stop

    with pytest.raises(Stop):
        bulk.make_all_strategies(network, dataset, out, progress=stop)
    with pytest.raises(CheckpointError, match=r"made with run budget = None, this run asks for 2\.5"):
        bulk.make_all_strategies(network, dataset, out, 2.5)
    changed = network_of(dataset)
    with pytest.raises(CheckpointError, match=r"run (backbone|hypernetwork)"):
        next(iter(changed.parameters())).data.add_(1.0)
        bulk.make_all_strategies(changed, dataset, out)
    renamed = Dataset.from_sequences("x", dataset.sequences, dataset.item_ids, [f"u{user}" for user in dataset.user_ids])
    with pytest.raises(CheckpointError, match="run users"):
        bulk.make_all_strategies(network, renamed, out)
    (tmp_path / "all.parquet.parts" / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match="made with run"):
        bulk.make_all_strategies(network, dataset, out)
    (tmp_path / "all.parquet.parts" / "run.json").unlink()
    with pytest.raises(CheckpointError, match="do not say which run they are of"):
        bulk.make_all_strategies(network, dataset, out)


def test_another_catalogue_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    other = Dataset.from_sequences("y", [np.array([1, 2, 3])])
    with pytest.raises(InputError, match="data set 'y' has 3 items but the hypernetwork 40"):
        bulk.make_all_strategies(network_of(dataset), other, tmp_path / "x.parquet")
