"""Rows of new items: what they begin with, and that the clicks that were seen are explained as well as they can be."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build
from chordkit.catalogue import grow, read_content, with_items
from chordkit.catalogue.beginnings import beginnings
from chordkit.catalogue.clicks import Clicks, read_clicks
from chordkit.catalogue.neighbours import neighbour_means
from chordkit.catalogue.rows import likeliest_rows
from chordkit.data import Dataset
from chordkit.errors import DataError, InputError

KNOWN, NEW, DIM = 30, 4, 16
MODELS = {
    "sasrec": SASRecConfig(items=KNOWN, max_length=8, dim=DIM, blocks=1, heads=1),
    "caser": CaserConfig(items=KNOWN, max_length=6, dim=DIM, heights=(1, 2), filters=3, vertical_filters=2, item_bias=True),
}


def _dataset(seed: int = 0, users: int = 60, times: bool = True) -> Dataset:
    """Histories in which every new item is clicked."""
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(1, KNOWN + NEW + 1, rng.integers(4, 14)) for _ in range(users)]
    sequences[0][:NEW] = np.arange(KNOWN + 1, KNOWN + NEW + 1)
    when = [np.sort(rng.integers(0, 10**6, len(each))) for each in sequences]
    return Dataset.from_sequences("grown", sequences, times=when if times else None)


def _model(name: str = "sasrec") -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build(MODELS[name]).eval()


def _clicks(count: int = 300, share: float = 0.2, seed: int = 0) -> Clicks:
    """Clicks out of a softmax that is known: states, and the mass of the known items."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.cat([torch.randn(count, DIM, generator=generator), torch.ones(count, 1)], 1)
    new = torch.where(
        torch.rand(count, generator=generator) < share, torch.randint(0, NEW, (count,), generator=generator), torch.tensor(-1)
    )
    return Clicks(states, torch.randn(count, generator=generator) + 3, new, torch.ones(count), torch.zeros(NEW, dtype=torch.int64))


def test_a_neighbourhood_is_the_known_items_around_each_click_by_distance() -> None:
    table = np.vstack([np.zeros(3), np.eye(3)]).astype(np.float32)
    dataset = Dataset.from_sequences("x", [[1, 4, 2, 3], [4, 5, 4]], item_ids=["", "a", "b", "c", "d", "e"])
    means, weights = neighbour_means(dataset, table, np.array([4, 5, 2]))
    np.testing.assert_allclose(weights, [1 + 1 + 0.5, 0, 1 + 0.5])
    np.testing.assert_allclose(means, [[1 / 2.5, 1 / 2.5, 0.5 / 2.5], [0, 0, 0], [0.5 / 1.5, 0, 1 / 1.5]], rtol=1e-6)


def test_without_a_pull_every_new_item_gets_as_much_of_the_softmax_as_it_was_clicked() -> None:
    clicks = _clicks()
    rows = likeliest_rows(clicks, torch.zeros(NEW, DIM + 1), torch.full((NEW,), 1e-6), biased=True)
    scores = clicks.states @ rows.T
    shares = (scores - torch.logaddexp(clicks.others, scores.logsumexp(1))[:, None]).exp()
    clicked = torch.bincount(clicks.new[clicks.new >= 0], minlength=NEW)
    torch.testing.assert_close(shares.sum(0), clicked.float(), rtol=0.02, atol=0.05)


def test_no_other_rows_near_by_explain_the_clicks_better() -> None:
    clicks, strength = _clicks(), torch.full((NEW,), 2.0)
    beginning = torch.randn(NEW, DIM + 1, generator=torch.Generator().manual_seed(3)) * 0.1

    def loss(rows: torch.Tensor) -> float:
        scores = clicks.states @ rows.T
        total = torch.logaddexp(clicks.others, scores.logsumexp(1)) - clicks.others
        hit = clicks.new >= 0
        return float(total.sum() - scores[hit, clicks.new[hit]].sum() + (strength[:, None] * (rows - beginning).square()).sum())

    found = likeliest_rows(clicks, beginning, strength, biased=True)
    for seed in range(20):
        step = torch.randn(NEW, DIM + 1, generator=torch.Generator().manual_seed(seed))
        assert loss(found) <= loss(found + 0.02 * step)
    fixed = likeliest_rows(clicks, beginning, strength, biased=False)
    assert torch.equal(fixed[:, -1], beginning[:, -1]) and loss(fixed) < loss(beginning)


def test_a_strong_pull_keeps_a_row_where_it_begins_and_an_item_of_no_click_falls() -> None:
    clicks = _clicks()
    clicks = Clicks(clicks.states, clicks.others, torch.where(clicks.new == 2, -1, clicks.new), clicks.weights, clicks.arrivals)
    beginning = torch.zeros(NEW, DIM + 1)
    held = likeliest_rows(clicks, beginning, torch.tensor([1e9, 1.0, 1.0, 1.0]), biased=True)
    assert held[0].abs().max() < 1e-4 < held[1].abs().max()
    assert held[2, -1] < 0


def test_an_item_is_not_blamed_for_clicks_before_it_came() -> None:
    clicks = _clicks(400)
    late = clicks.new.clone()
    late[:300] = torch.where(late[:300] == 1, -1, late[:300])
    arrived = torch.tensor([0, 300, 0, 0])
    weak, zeros = torch.full((NEW,), 1e-3), torch.zeros(NEW, DIM + 1)
    fair, blamed = (
        likeliest_rows(Clicks(clicks.states, clicks.others, late, clicks.weights, arrivals), zeros, weak, biased=True)
        for arrivals in (arrived, torch.zeros(NEW, dtype=torch.int64))
    )
    after = clicks.states[300:]
    assert (after @ fair[1]).exp().mean() > 2 * (after @ blamed[1]).exp().mean()


@pytest.mark.parametrize("name", MODELS)
def test_clicks_carry_the_state_before_them_and_the_mass_of_the_known_items(name: str) -> None:
    dataset, model = _dataset(), _model(name)
    rows = np.random.default_rng(2).standard_normal((NEW, DIM)).astype(np.float32)
    grown = with_items(model, rows, np.zeros(NEW, np.float32) if model.item_bias is not None else None)
    clicks = read_clicks(grown, KNOWN, dataset)
    assert len(clicks.new) == dataset.interactions - dataset.users
    assert torch.bincount(clicks.new[clicks.new >= 0], minlength=NEW).sum() == sum((each[1:] > KNOWN).sum() for each in dataset.sequences)
    # In the order of time: the last click of all is the last of somebody's history.
    last = int(np.argmax(dataset.times))
    user = int(np.searchsorted(dataset.offsets, last, side="right")) - 1
    history = np.zeros(grown.config.max_length, np.int32)
    before = dataset.flat[dataset.offsets[user] : last][-grown.config.max_length :]
    history[len(history) - len(before) :] = before
    with torch.no_grad():
        state = grown.encode(torch.from_numpy(history[None]))
        scores = grown.score_all(state)[0]
    torch.testing.assert_close(clicks.states[-1, :-1], state[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(clicks.others[-1], scores[1 : KNOWN + 1].logsumexp(0), rtol=1e-4, atol=1e-5)
    first = [int(dataset.times[np.flatnonzero(dataset.flat == item)].min()) for item in range(KNOWN + 1, KNOWN + NEW + 1)]
    arrivals = clicks.arrivals[np.argsort(first)]
    assert (arrivals.diff() >= 0).all() and arrivals[-1] > arrivals[0]
    assert not read_clicks(grown, KNOWN, _dataset(times=False)).arrivals.any()


def test_where_there_are_too_many_clicks_those_with_new_items_stay_and_the_rest_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = _dataset(users=80)
    grown = with_items(_model(), np.zeros((NEW, DIM), np.float32))
    whole = read_clicks(grown, KNOWN, dataset)
    monkeypatch.setattr("chordkit.catalogue.clicks.POSITIONS", 60)
    some = read_clicks(grown, KNOWN, dataset)
    assert len(some.new) < len(whole.new) and (some.new >= 0).sum() == (whole.new >= 0).sum()
    assert some.weights.sum() == pytest.approx(len(whole.new)) and some.weights[some.new >= 0].max() == 1


@pytest.mark.parametrize("name", MODELS)
def test_a_grown_model_finds_new_items_and_answers_on_the_old_as_before(name: str) -> None:
    rng = np.random.default_rng(5)
    # Item KNOWN + 1 + k follows item k + 1, always.
    sequences = [np.concatenate([rng.integers(NEW + 1, KNOWN + 1, 5), [k + 1, KNOWN + 1 + k]]) for k in rng.integers(0, NEW, 200)]
    dataset, model = Dataset.from_sequences("pairs", sequences), _model(name)
    growth = grow(model, dataset)
    assert growth.rows.shape == (NEW, DIM) and growth.sources == ["neighbours"] * NEW and growth.clicks.sum() == 200
    assert (growth.biases is None) == (name == "sasrec")
    grown = with_items(model, growth.rows, growth.biases)
    history = torch.zeros(NEW, grown.config.max_length, dtype=torch.int64)
    history[:, -1] = torch.arange(1, NEW + 1)
    with torch.no_grad():
        scores = grown.score_all(grown.encode(history))
        torch.testing.assert_close(scores[:, : KNOWN + 1], model.score_all(model.encode(history)))
        assert scores[:, KNOWN + 1 :].argmax(1).tolist() == list(range(NEW))


def test_content_decides_where_a_row_begins_and_how_far_it_is_trusted() -> None:
    rng = np.random.default_rng(0)
    table = np.vstack([np.zeros(DIM), rng.standard_normal((KNOWN, DIM))]).astype(np.float32)
    wanted = rng.standard_normal((NEW, DIM)).astype(np.float32)
    # Content from which a row follows exactly, for all but the last new item.
    mixing = rng.standard_normal((DIM, DIM))
    content = (np.vstack([table, wanted]) @ mixing).astype(np.float32)
    content[-1] = np.nan
    begin = beginnings(_dataset(), table, content)
    assert begin.sources == ["content"] * (NEW - 1) + ["neighbours"]
    assert np.abs(begin.rows[:-1] - wanted[:-1]).mean() < 0.1 * np.abs(wanted).mean()
    assert begin.variance[0] < 0.1 * begin.variance[-1]
    nowhere = Dataset.from_sequences("x", [[1, 2, 3]], item_ids=["", *map(str, range(1, KNOWN + NEW + 1))])
    begin = beginnings(nowhere, table, None)
    assert begin.sources == ["average"] * NEW
    np.testing.assert_allclose(begin.rows, np.repeat(table[1:].mean(0)[None], NEW, 0), rtol=1e-5)


def test_content_is_read_from_any_table_by_the_owners_ids(tmp_path: Path) -> None:
    dataset = Dataset.from_sequences("x", [[1, 2, 3]], item_ids=["", "a", "b", "c"])
    (tmp_path / "v.csv").write_text("sku,x,y\nb,1,2\nzzz,5,5\na,-3,4.5\n")
    (tmp_path / "v.jsonl.gz").write_bytes(gzip.compress(b'{"sku":"b","v":[1,2]}\n{"sku":"zzz","v":[5,5]}\n{"sku":"a","v":[-3,4.5]}\n'))
    pl.DataFrame({"sku": ["b", "zzz", "a"], "v": [[1.0, 2.0], [5.0, 5.0], [-3.0, 4.5]]}).write_parquet(tmp_path / "v.parquet")
    for source in (*tmp_path.iterdir(), {"sku": ["b", "a"], "x": [1, -3], "y": [2, 4.5]}):
        content = read_content(source, dataset)
        assert content.shape == (4, 2) and content.dtype == np.float32
        np.testing.assert_array_equal(content, np.array([[np.nan, np.nan], [-3, 4.5], [1, 2], [np.nan, np.nan]], np.float32))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sku,x\nq,1\n", r"none of its ids \('q'\) is an item of x"),
        ("sku,x\na,1\nb,oops\n", "v.csv:3.*'oops' is no finite number"),
        ("sku,x\na,inf\n", "v.csv:2.*no finite number"),
        ("sku,x\na,\n", "v.csv:2.*no finite number"),
        ("sku\na\n", "a column of item ids, then numbers"),
        ("", "the file is empty"),
    ],
)
def test_content_that_is_none_is_refused_by_its_place(text: str, sentence: str, tmp_path: Path) -> None:
    dataset = Dataset.from_sequences("x", [[1, 2, 3]], item_ids=["", "a", "b", "c"])
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_content(tmp_path / "v.csv", dataset)
    (tmp_path / "v.jsonl").write_text('{"sku":"a","v":[1,2]}\n{"sku":"b","v":[1]}\n')
    with pytest.raises(DataError, match=r"v.jsonl:2.*1 numbers where the first item has 2"):
        read_content(tmp_path / "v.jsonl", dataset)


def test_a_catalogue_that_has_not_grown_is_refused() -> None:
    with pytest.raises(InputError, match="there is none to add"):
        grow(with_items(_model(), np.zeros((NEW, DIM), np.float32)), _dataset())
    with pytest.raises(InputError, match=r"give \[items \+ 1, n\]"):
        grow(_model(), _dataset(), np.zeros((3, 2), np.float32))
