"""What goes into a pool, what stays out, and what is read back."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from chordkit.coda.anonymity import shared_runs
from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.pool import Pool, source_name
from chordkit.errors import SampleError
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.inputs import left_pad
from tests.coda.pool_material import OPTIONS, master, pool, segments_of, world

ARRAYS = ("flat", "offsets", "segment_sources", "source_names", "sample_segments", "sample_places", "codes", "scales")


def _same(one: Pool, other: Pool) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


@given(st.lists(st.lists(st.integers(1, 6), max_size=8), min_size=1, max_size=8), st.integers(1, 4))
def test_pieces_are_exactly_the_longest_whose_neighbours_k_users_share(rows: list[list[int]], k: int) -> None:
    sequences = [np.array(row, np.int32) for row in rows]
    for row, pieces in zip(rows, shared_runs(sequences, k), strict=True):
        inside = {place for start, stop in pieces for place in range(start, stop - 1)}
        shared = {place for place, pair in enumerate(pairwise(row)) if sum(set(pair) <= set(other) for other in rows) >= k}
        assert inside == shared and all(stop - start > 1 for start, stop in pieces)
        assert pieces == sorted(pieces) and all(before[1] <= after[0] for before, after in pairwise(pieces))


def test_each_two_neighbours_in_a_pool_stand_in_k_histories() -> None:
    owners = [set(sequence.tolist()) for sequence in world().sequences]
    fewest = min(sum(set(pair) <= owner for owner in owners) for segment in segments_of(pool()) for pair in pairwise(segment.tolist()))
    assert fewest == pool().k == 3
    cut = [segment for segment in segments_of(pool(0)) for pair in pairwise(segment.tolist()) if sum(set(pair) <= o for o in owners) < 3]
    assert cut  # what a public pool keeps whole


def test_who_did_not_agree_changes_nothing() -> None:
    data, agreed = world(), world().user_ids[10:50:2]
    mixed = build_pool(data.sequences, data.user_ids, master(), consent=agreed, options=OPTIONS)
    alone = build_pool(data.sequences[10:50:2], agreed, master(), consent=EVERYBODY, options=OPTIONS)
    assert _same(mixed, alone) and not _same(mixed, pool())
    assert set(mixed.source_names.tolist()) <= {source_name(user) for user in agreed}
    with pytest.raises(SampleError, match="none of 60 users has agreed"):
        build_pool(data.sequences, data.user_ids, master(), consent=["nobody"])


@pytest.mark.parametrize("k", [0, 3, 12])
def test_samples_are_the_newest_of_each_user_behind_what_the_user_had(k: int) -> None:
    made, data = pool(k), world()
    runs = shared_runs(data.sequences, k) if k else [[(0, len(sequence))] for sequence in data.sequences]
    expected = []
    for sequence, pieces in zip(data.sequences, runs, strict=True):
        places = [place for start, stop in pieces for place in range(start + 1, stop)][-OPTIONS.samples :]
        kept = [place for start, stop in pieces for place in range(start, stop)]
        before = [sequence[[each for each in kept if each < place]] for place in places]
        rows = sorted((sequence[place - 1 : place + 1].tolist(), items.tolist()) for place, items in zip(places, before, strict=True))
        if rows:
            expected.append(rows)
    table = torch.from_numpy(np.asarray(master().state_dict()["item_embedding.weight"]))
    owners = made.segment_sources[made.sample_segments]
    segments = segments_of(made)
    for source, rows in enumerate(expected):
        found = []
        for sample in np.flatnonzero(owners == source):
            segment, place = segments[made.sample_segments[sample]], made.sample_places[sample]
            found.append((segment[place - 1 : place + 1].tolist(), made.codes[sample] * made.scales[sample]))
        assert sorted(pair for pair, _ in found) == [pair for pair, _ in rows]
        profiles = pooled_profile(table, torch.from_numpy(left_pad([np.array(b, np.int32) for _, b in rows], 20)), OPTIONS.pools)[:, :-1]
        parts = torch.nn.functional.normalize(profiles.reshape(len(rows), 3, -1), dim=2).reshape(len(rows), -1) / 3**0.5
        for (pair, _), profile in zip(rows, parts.numpy(), strict=True):
            # Half a step of the codes, whose largest is 127.
            assert any(pair == other and np.abs(row - profile).max() <= np.abs(row).max() / 253 for other, row in found)
    assert made.sources == len(expected) and made.samples == sum(map(len, expected))
    assert k < 12 or len(segments) > 1.5 * made.sources  # many users have several pieces
    firsts = {segment: int(made.sample_places[made.sample_segments == segment].min()) for segment in range(len(segments))}
    assert max(firsts.values()) == OPTIONS.context


def test_a_pool_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    pool().save(tmp_path / "pool")
    pool(0).save(tmp_path / "public")
    back = Pool.load(tmp_path / "pool")
    assert _same(back, pool())
    settings = ("fingerprint", "items", "k", "pools", "context", "samples", "sources", "public")
    assert all(getattr(back, name) == getattr(pool(), name) for name in settings)
    again = tmp_path / "again"
    back.save(again)
    assert again.read_bytes() == (tmp_path / "pool").read_bytes()
    # Other people's histories are for their keeper's eyes; a public set, which knows no users, for everybody's.
    assert (tmp_path / "pool").stat().st_mode & 0o077 == 0 != (tmp_path / "public").stat().st_mode & 0o077
    assert len(Pool.load(tmp_path / "public").source_names) == 0


def test_damage_anywhere_is_found(tmp_path: Path) -> None:
    pool().save(tmp_path / "pool")
    good = (tmp_path / "pool").read_bytes()
    for place in [*range(0, 400, 7), *np.linspace(400, len(good) - 1, 60).astype(int)]:
        (tmp_path / "pool").write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(SampleError, match="pool"):
            Pool.load(tmp_path / "pool")
    for data in (b"", good[:-1], good + b"\0", save({"x": np.zeros(1, np.float32)})):
        (tmp_path / "pool").write_bytes(data)
        with pytest.raises(SampleError, match="make it again"):
            Pool.load(tmp_path / "pool")


def test_a_newer_pool_asks_for_a_newer_chordkit(tmp_path: Path) -> None:
    pool().save(tmp_path / "pool")
    data = (tmp_path / "pool").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    (tmp_path / "pool").write_bytes(save(load(data), header | {"version": "2"}))
    with pytest.raises(SampleError, match="version '2' is not 1; update chordkit"):
        Pool.load(tmp_path / "pool")


def _changed(name: str, place: int, value: float) -> dict[str, np.ndarray]:
    array = getattr(pool(), name).copy()
    array.reshape(-1)[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fingerprint": b"short"}, "fingerprint"),
        ({"k": -1}, "k or context"),
        ({"pools": (5, 5)}, "do not rise"),
        ({"codes": pool().codes.astype(np.int16)}, "codes is int16"),
        ({"scales": pool().scales[:, None]}, "scales is float32 of shape"),
        (_changed("offsets", 1, 1), "fewer than two items"),
        (_changed("offsets", 1, -(1 << 62)), "offsets"),
        (_changed("offsets", -1, 1 << 40), "offsets"),
        (_changed("flat", 3, 0), "items do not lie in 1..40"),
        (_changed("flat", 3, 41), "items do not lie in 1..40"),
        (_changed("segment_sources", 0, 1), "users of its segments"),
        (_changed("segment_sources", -1, 9999), "users of its segments"),
        ({"source_names": pool().source_names[1:]}, "names"),
        ({"k": 0}, "names"),
        (_changed("sample_segments", 0, 9999), "does not stand behind"),
        (_changed("sample_segments", 0, -1), "does not stand behind"),
        (_changed("sample_places", 0, 0), "does not stand behind"),
        (_changed("sample_places", 0, 9999), "does not stand behind"),
        ({"scales": pool().scales[1:]}, "has no samples, or"),
        ({"pools": (5, 25, 200, 300, 400)}, "do not have 5 parts"),
        (_changed("codes", 0, -128), "-128"),
        (_changed("scales", 0, np.nan), "finite"),
        (_changed("scales", 0, 0), "finite"),
    ],
)
def test_arrays_that_do_not_fit_each_other_make_no_pool(change: dict, says: str) -> None:
    with pytest.raises(SampleError, match=f"^pool: .*{says}.*; make it again"):
        replace(pool(), **change)


def test_what_no_pool_can_be_made_of_is_told() -> None:
    data = world()
    with pytest.raises(SampleError, match="k = 1 hides nobody"):
        PoolOptions(k=1)
    with pytest.raises(SampleError, match="histories of 61 of 60 users"):
        build_pool(data.sequences, data.user_ids, master(), consent=EVERYBODY, options=PoolOptions(k=61))
    with pytest.raises(SampleError, match="item 41 is none of the 40"):
        build_pool([np.array([1, 41], np.int32)], ["a"], master(), consent=EVERYBODY)
