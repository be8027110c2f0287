"""benchmarks/coda.py: it runs, its marks are those of training, nobody sees what they must not, and no learning is no change."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from chordkit.coda.gate import first_examined
from chordkit.coda.pool import source_name
from chordkit.data import Dataset, split, synthesize
from chordkit.training import bootstrap, evaluate

pytestmark = pytest.mark.checkout

DAY = 86_400 * 1_000_000


@pytest.fixture(scope="module")
def coda(script: Callable[[str], ModuleType]) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield script("benchmarks/coda.py")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Users who come one after the other, a click every day."""
    plain = synthesize(3, users=60, items=80, mean_length=30, max_length=60)
    times = [(user + np.arange(len(sequence))) * DAY for user, sequence in enumerate(plain.sequences)]
    return replace(plain, times=np.concatenate(times).astype(np.int64))


@pytest.fixture(scope="module")
def fresh(coda: ModuleType, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return coda.Fresh(dataset, 0, tmp_path_factory.mktemp("fresh"), 1)


def text(items: np.ndarray) -> str:
    """Of items, so that a run of them is a part of the text of the whole."""
    return " ".join(map(str, ["", *items.tolist(), ""]))


def test_an_adapter_that_has_learned_nothing_changes_nothing(coda: ModuleType, dataset: Dataset, tmp_path: Path) -> None:
    ways, tables = sys.modules["coda_ways"], sys.modules["coda_tables"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ways, "GRID", [ways.PersonalOptions(ways.Steps(count=0))])
        patch.setattr(ways, "KNN_GRID", [(0.0, 0.1)])
        patch.setattr(tables, "bootstrap", partial(bootstrap, resamples=20))
        found, setting = coda.run_seed(dataset, 0, Namespace(folder=tmp_path, epochs=1, deciding=2, users=4, stale=True, least=5), None)
        every = {**ways.WAYS, **ways.FRESH}
        for group in found.values():
            assert set(group) == {"cloud", "later", *every}
            for way in every:
                np.testing.assert_allclose([[row["ndcg"], row["likelihood"]] for row in group[way]], group["cloud"], atol=1e-12)
                assert not any(row["adopted"] for row in group[way])
            assert all(row is None for rows in group["later"].values() for row in rows)
        json.dumps(found)
        lines = tables.table("known", [found, found]).splitlines()
        assert lines[0].startswith("4 known users, 2 seeds") and len(lines) == 4 + len(every)
        assert "| +0.0000 [+0.0000, +0.0000] |" in lines[-1] and "0% (0%)" in lines[-1]
        assert tables.comparisons("known", [found]).count("| +0.0000 [+0.0000, +0.0000]") == 4 * len(ways.PAIRS)
        assert "0% | +0.0000 [+0.0000, +0.0000] | +0.0000" in tables.drift("known", [found])
        assert all(tables.describe_setting(each) for each in setting.values())


def test_what_is_measured(coda: ModuleType, dataset: Dataset, fresh: Any) -> None:
    users = np.sort(fresh.groups["private"])
    found = [coda.marks(coda.log_probabilities(fresh.cloud.head, each.test), each.test.targets)[0] for each in map(fresh.phone, users)]
    parts = split(dataset, fresh.cloud.backbone.config.max_length, 5, 5)
    wanted = evaluate(fresh.cloud.backbone, parts.test.of_users(users), masked=True).per_user["ndcg10"]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_what_is_sent(fresh: Any, dataset: Dataset) -> None:
    ways, user = sys.modules["coda_ways"], int(fresh.groups["known"][0])
    phone, sequence = fresh.phone(user), dataset.sequences[user]
    # The cloud is asked with nothing of the exam, and neither of the items of the test.
    first = first_examined(len(phone.local))
    assert len(phone.asked) == len(sequence) - 5 - len(phone.local) + first and phone.local.targets[first] == sequence[len(phone.asked)]
    assert phone.test.targets.tolist() == sequence[-5:].tolist() and phone.nearest.size <= 3072
    aged = fresh.phone(user, 7)
    assert aged.newer.targets.tolist() == sequence[-12:-5].tolist() and aged.history.tolist() == sequence[:-12].tolist()
    setting = ways.PersonalOptions(ways.Steps(count=0))  # without a step no user helps
    chosen = {way: ways.samples_of(way, phone, phone.local, setting) for way in ways.WAYS if way != "knn"}
    assert [len(chosen[way]) for way in chosen] == [0, *[200] * 5, 0]
    inner, outer = ({(row.tobytes(), int(target)) for row, target in zip(chosen[way].seen, chosen[way].targets, strict=True)}
                    for way in ("classifier", "worst"))  # fmt: skip
    assert not inner & outer
    # Two users may go on alike; not for six items.
    for each in fresh.groups["known"][:8]:
        phone = fresh.phone(int(each))
        for lessons in [sent.lessons for sent in (phone.random, phone.matched, *phone.users)]:
            for row in lessons.seen[np.count_nonzero(lessons.seen, axis=1) > 5]:
                assert text(row[row > 0]) not in text(dataset.sequences[each])
    known = {int(each) for each in fresh.groups["known"]}
    assert known and not known & set(map(int, fresh.groups["private"]))


def test_an_old_model_and_a_new_pool_know_only_what_was(coda: ModuleType, dataset: Dataset, tmp_path: Path) -> None:
    stale = coda.Stale(dataset, 0, tmp_path, 1)
    moment = np.sort(dataset.times)[dataset.interactions // 2]
    assert sum(map(len, stale.cloud.trained_on)) < dataset.interactions / 2
    groups = {name: set(map(int, users)) for name, users in stale.groups.items()}
    clicked = {
        name: {int((np.split(dataset.times, dataset.offsets[1:-1])[user] < moment).sum()) >= 3 for user in groups[name]} for name in groups
    }
    assert clicked == {"new": {False}, "known": {True}}
    for user in [min(each) for each in groups.values()]:
        phone = stale.phone(user)
        today = user + len(dataset.sequences[user]) - 5  # day of the first test item: user + place
        pool = phone.samples.pool
        owners = {source_name(str(each)): each for each in range(dataset.users)}
        for segment, source in zip(np.split(pool.flat, pool.offsets[1:-1]), pool.segment_sources, strict=True):
            owner = owners[int(pool.source_names[source])]
            assert text(segment) in text(dataset.sequences[owner][: today - owner])
        assert phone.learned is not None and phone.learned.pool.samples != pool.samples


def test_neighbours_that_all_say_one_thing_are_believed(coda: ModuleType, dataset: Dataset, fresh: Any) -> None:
    ways, phone = sys.modules["coda_ways"], fresh.phone(int(fresh.groups["private"][0]))
    unseen = int(np.setdiff1d(np.arange(1, dataset.items + 1), phone.test.seen)[0])
    samples = replace(phone.nearest.lessons, targets=np.full_like(phone.nearest.lessons.targets, unseen))
    head = fresh.cloud.head
    before, after = coda.log_probabilities(head, phone.test), ways.neighbours(head, phone.test, samples, 0.5, 0.1)
    np.testing.assert_allclose(np.exp(after).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(after[:, unseen]), 0.5 + 0.5 * np.exp(before[:, unseen]))
