"""Orders and numbers of many integers are those that numpy's slow general functions give."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.data.ordering import numbered, stable_order
from chordkit.data.readers.table import stacked, with_numbers

_FEW = st.integers(-3, 3)
_ANY = st.one_of(_FEW, st.integers(-(2**63), 2**63 - 1), st.integers(10**6, 10**6 + 10**9))


@given(st.lists(st.tuples(_FEW, _ANY, st.floats(allow_nan=False)), max_size=40), st.booleans())
def test_a_stable_order_is_that_of_lexsort(rows: list[tuple[int, int, float]], narrow: bool) -> None:
    users = np.array([user for user, _, _ in rows], np.int32 if narrow else np.int64)
    times = np.array([time for _, time, _ in rows], np.int64)
    others = np.array([other for _, _, other in rows], np.float64)
    assert stable_order(users, times).tolist() == np.lexsort((times, users)).tolist()
    assert stable_order(users, others, times).tolist() == np.lexsort((times, others, users)).tolist()


@given(st.lists(st.one_of(_ANY, st.integers(0, 100_000)), max_size=40))
def test_numbers_are_places_among_the_distinct_values(values: list[int]) -> None:
    distinct, places = np.unique(np.array(values, np.int64), return_inverse=True)
    found, ids = numbered(np.array(values, np.int64))
    assert (found.tolist(), ids.tolist()) == (places.tolist(), distinct.tolist())


@settings(max_examples=50)
@given(st.lists(st.one_of(_ANY.map(str), st.from_regex(r"\A[ +-]?0?[0-9]{1,3}\Z")), max_size=6))
def test_a_column_is_numbers_only_where_its_texts_come_back(texts: list[str]) -> None:
    column = with_numbers(pl.DataFrame({"a": texts}, schema={"a": pl.String}), ["a"])["a"]
    whole = bool(texts) and all(text.strip() == text and text == str(int(text)) and -(2**63) <= int(text) < 2**63 for text in texts)
    assert (column.dtype == pl.Int64) == whole
    assert column.cast(pl.String).to_list() == texts


@pytest.mark.parametrize("odd", ["", "007", "+7", "-0", " 7", "7.0", "9223372036854775808", None])
def test_numbers_below_a_text_become_texts_again(odd: str | None) -> None:
    parts = [with_numbers(pl.DataFrame({"a": column}, schema={"a": pl.String}), ["a"]) for column in (["7", "-12"], [odd])]
    assert [part.schema["a"] for part in parts] == [pl.Int64, pl.String]
    assert stacked(parts)["a"].to_list() == ["7", "-12", odd]
