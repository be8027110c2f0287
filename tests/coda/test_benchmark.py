"""benchmarks/coda.py: it runs, its marks are those of training, and an adapter that has learned nothing changes nothing."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chordkit.data import Dataset, split, synthesize
from chordkit.training import evaluate

pytestmark = pytest.mark.checkout

Script = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return synthesize(3, users=60, items=80, mean_length=25, max_length=60)


@pytest.fixture
def coda(script: Script) -> ModuleType:
    return script("benchmarks/coda.py")


@pytest.fixture
def arguments(tmp_path: Path) -> Namespace:
    return Namespace(folder=tmp_path, epochs=1, deciding=2, users=4)


def test_an_adapter_that_has_learned_nothing_changes_nothing(coda: ModuleType, dataset: Dataset, arguments: Namespace) -> None:
    coda.GRID[:] = [coda.PersonalOptions(coda.Steps(count=0))]
    coda.KNN_GRID[:] = [(0.0, 0.1)]
    found, setting = coda.run_seed(dataset, 0, arguments, None)
    for group in found.values():
        assert set(group) == {"cloud", *coda.CONDITIONS}
        for condition in coda.CONDITIONS:
            np.testing.assert_allclose([[row["ndcg"], row["likelihood"]] for row in group[condition]], group["cloud"], atol=1e-12)
            assert not any(row["adopted"] for row in group[condition])
    json.dumps(found)
    lines = coda.table("private", [found, found]).splitlines()
    assert lines[0].startswith("4 private users, 2 seeds") and len(lines) == 4 + len(coda.CONDITIONS)
    assert "| +0.0000 [+0.0000, +0.0000] |" in lines[-1] and "0% (0%)" in lines[-1]
    assert coda.comparisons("known", [found]).count("| +0.0000 [+0.0000, +0.0000]") == 4 * len(coda.PAIRS)
    assert all(coda.describe_setting(each) for each in setting.values())


def test_what_is_measured_and_what_is_sent(coda: ModuleType, dataset: Dataset, arguments: Namespace) -> None:
    cloud = coda.Cloud(dataset, 0, arguments.folder, 1)
    users = np.sort(cloud.private)
    phones = [cloud.phone(int(user)) for user in users]
    parts = split(dataset, cloud.backbone.config.max_length, coda.HELD_OUT, coda.HELD_OUT)
    wanted = evaluate(cloud.backbone, parts.test.of_users(users), masked=True).per_user["ndcg10"]
    found = [coda.marks(coda.log_probabilities(cloud.head, each.test), each.test.targets)[0] for each in phones]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert not set(cloud.source.tolist()) & set(users.tolist())
    assert np.bincount(cloud.source).max() <= coda.A_SOURCE
    tested = {int(user): len(dataset.sequences[user]) - cloud.tested[user] for user in cloud.known}
    assert all(len(np.trim_zeros(row)) < tested[int(user)] for user, row in zip(cloud.source, cloud.pool.seen, strict=True))
    local, setting = phones[0].local, coda.PersonalOptions(coda.Steps(count=0))  # without a step no user helps
    known = cloud.phone(int(cloud.known[0]))
    chosen = {name: coda.chosen_samples(name, cloud.head, known, local, setting) for name in coda.CONDITIONS if name != "knn"}
    assert [len(chosen[name]) for name in chosen] == [0, *[200] * 5, 0]
    # Two users may begin alike; not for eight items.
    own = {row.tobytes() for row in cloud.pool.take(np.flatnonzero(cloud.source == known.user)).seen if np.count_nonzero(row) > 8}
    assert own and not own & {row.tobytes() for each in chosen.values() for row in each.seen}
    inner, outer = ({(row.tobytes(), int(target)) for row, target in zip(chosen[name].seen, chosen[name].targets, strict=True)}
                    for name in ("classifier", "worst"))  # fmt: skip
    assert not inner & outer


def test_neighbours_that_all_say_one_thing_are_believed(coda: ModuleType, dataset: Dataset, arguments: Namespace) -> None:
    cloud = coda.Cloud(dataset, 0, arguments.folder, 1)
    phone = cloud.phone(int(cloud.private[0]))
    unseen = int(np.setdiff1d(np.arange(1, dataset.items + 1), phone.test.seen)[0])
    samples = phone.samples["nearest"]
    samples = coda.Lessons(samples.states, np.full_like(samples.targets, unseen), samples.seen)
    before, after = coda.log_probabilities(cloud.head, phone.test), coda.neighbours(cloud.head, phone.test, samples, 0.5, 0.1)
    np.testing.assert_allclose(np.exp(after).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(after[:, unseen]), 0.5 + 0.5 * np.exp(before[:, unseen]))
