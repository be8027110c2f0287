"""The stream step of a phone: what it keeps, and that its windows, profile and lessons are those of training, cloud and engine."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chordkit.coda.stream import Stream
from chordkit.errors import InputError
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.inputs import left_pad
from chordkit.kernels import Engine
from chordkit.quantization import dequantize_table
from tests.coda.pool_material import master

ITEMS = 40


def filled(items: list[int], capacity: int = 1024) -> Stream:
    stream = Stream(ITEMS, capacity)
    stream.extend(items)
    return stream


@given(st.lists(st.integers(1, ITEMS), max_size=40), st.integers(2, 12))
def test_it_keeps_the_newest_clicks_in_their_order(items: list[int], capacity: int) -> None:
    stream = filled(items, capacity)
    assert stream.clicks().tolist() == items[-capacity:]
    assert (len(stream), stream.total) == (min(len(items), capacity), len(items))
    assert stream.window(5).tolist() == left_pad([np.array(items[-capacity:], np.int32)], 5)[0].tolist()


@pytest.mark.parametrize("count", [0, 1, 3, 20, 70])
def test_its_profile_is_the_clouds_and_the_engines(count: int) -> None:
    items = np.random.default_rng(count).integers(1, ITEMS + 1, count).astype(np.int32)
    table, pools = dequantize_table(master().embeddings["item_embedding"]), (2, 5, 50)
    found = filled(items.tolist()).profile(table, pools)
    assert found.dtype == np.float32
    wanted = pooled_profile(torch.from_numpy(table), torch.from_numpy(np.r_[np.zeros(1, np.int32), items])[None], pools)[0].numpy()
    # A sum of n rounded terms, each of at most the largest entry / n.
    limit = 50 * np.finfo(np.float32).eps * max(1.0, float(np.abs(table).max()))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=limit)
    np.testing.assert_allclose(found, Engine(master().to_bytes()).profile(np.r_[np.zeros(1, np.int32), items], pools), rtol=0, atol=limit)


@given(st.lists(st.integers(1, ITEMS), max_size=30), st.integers(1, 12), st.integers(1, 8))
def test_a_question_holds_what_came_before_and_nothing_after(items: list[int], most: int, length: int) -> None:
    questions = filled(items).questions(most, length, seen=6)
    asked = range(max(1, len(items) - most), len(items))
    assert questions.targets.tolist() == [items[at] for at in asked]
    for row, at in enumerate(asked):
        assert [item for item in questions.histories[row].tolist() if item] == items[max(0, at - length) : at]
        assert [item for item in questions.seen[row].tolist() if item] == items[max(0, at - 6) : at]
    assert (questions.histories.shape[1], questions.seen.shape[1]) == (length, 6)


@pytest.mark.parametrize("without", [0, 1, 5, 20])
def test_the_newest_clicks_can_be_left_out_of_a_profile(without: int) -> None:
    items = list(range(1, 13))
    table = dequantize_table(master().embeddings["item_embedding"])
    found, wanted = filled(items).profile(table, (2, 5), without), filled(items[: max(0, 12 - without)]).profile(table, (2, 5))
    np.testing.assert_array_equal(found, wanted)


def test_what_the_catalogue_does_not_have_is_counted_and_what_is_no_item_refused() -> None:
    stream = filled([1, 2])
    assert not stream.add(ITEMS + 1)
    assert (stream.unknown, stream.clicks().tolist()) == (1, [1, 2])
    for wrong in (0, -1, 1.0, "1", True, None):
        with pytest.raises(InputError, match=r"stream: .* is no item"):
            stream.add(wrong)  # type: ignore[arg-type]
    for items, capacity in ((0, 10), (5, 1)):
        with pytest.raises(InputError, match="give at least 1 and 2"):
            Stream(items, capacity)


def test_what_runs_on_a_phone_needs_no_torch() -> None:
    code = "import sys; import chordkit.coda.stream, chordkit.coda.phone, chordkit.coda.health; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
