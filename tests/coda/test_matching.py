"""Which samples an answer has, and that it fits the bytes."""

from dataclasses import replace

import numpy as np
import pytest

from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.matching import LEAST_CONTEXT, Matcher, match, pieces
from chordkit.coda.pool import source_name
from chordkit.coda.profiles import directions, history_profile
from chordkit.coda.samples import decode_samples, encode_samples
from chordkit.coda.search import brute_force, indexed, make_search
from chordkit.errors import SampleError
from tests.coda.pool_material import OPTIONS, master, pool, segments_of, world


def _profile(user: int) -> np.ndarray:
    return history_profile(master(), world().sequences[user], pool().pools)


def _owned(user: int) -> np.ndarray:
    sources = np.flatnonzero(pool().source_names == source_name(world().user_ids[user]))
    return np.flatnonzero(np.isin(pool().segment_sources[pool().sample_segments], sources))


def test_directions_compare_by_the_mean_cosine_of_the_parts() -> None:
    rng = np.random.default_rng(0)
    profiles = rng.normal(size=(2, 3 * 4 + 1)).astype(np.float32)
    one, other = profiles[:, :-1].reshape(2, 3, 4)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(one, other, strict=True)]
    rows = directions(profiles, 3)
    assert rows[0] @ rows[1] == pytest.approx(np.mean(cosines), abs=1e-6)
    assert not directions(np.zeros((1, 13), np.float32), 3).any()


def test_the_nearest_are_those_of_the_largest_product_in_order_and_ties_by_number() -> None:
    rng = np.random.default_rng(1)
    codes, scales = rng.integers(-3, 4, (500, 4)).astype(np.int8), np.full(500, 0.5, np.float32)
    direction = np.array([1, -1, 2, 0], np.float32)
    expected = sorted(range(500), key=lambda row: (-float(codes[row].astype(float) @ direction), row))
    for count in (1, 7, 499, 500, 9999):  # with numbers so small many rows tie
        assert brute_force(codes, scales)(direction, count).tolist() == expected[:count]


def test_nobody_is_answered_with_their_own_samples() -> None:
    matcher, user = Matcher(pool()), 7
    own = _owned(user)
    everything = matcher.nearest(directions(_profile(user)[None], 3)[0], pool().samples)
    without = matcher.nearest(directions(_profile(user)[None], 3)[0], pool().samples, world().user_ids[user])
    assert len(own) == OPTIONS.samples and without.tolist() == [sample for sample in everything if sample not in own]
    assert len(matcher.nearest(directions(_profile(user)[None], 3)[0], 50, world().user_ids[user])) == 50


def test_a_pool_of_nobody_else_has_no_answer() -> None:
    data = world()
    alone = build_pool(data.sequences[:1], data.user_ids[:1], master(), consent=EVERYBODY, options=PoolOptions(k=0))
    named = replace(alone, k=2, source_names=np.array([source_name(data.user_ids[0])]))
    profile = history_profile(master(), data.sequences[1], named.pools)
    assert Matcher(named).answer(profile, 5, exclude=data.user_ids[1]).sources == 1
    with pytest.raises(SampleError, match="samples of nobody else"):
        Matcher(named).answer(profile, 5, exclude=data.user_ids[0])


def test_pieces_hold_each_sample_behind_what_stood_before_it() -> None:
    chosen = np.random.default_rng(2).permutation(pool().samples)[:80]
    segments = segments_of(pool())
    for context in (1, 3, OPTIONS.context):
        found = pieces(pool(), chosen, context)
        histories, targets = found.windows(context)
        wanted = []
        for sample in chosen:
            segment, place = segments[pool().sample_segments[sample]], pool().sample_places[sample]
            before = segment[max(0, place - context) : place].tolist()
            wanted.append((*[0] * (context - len(before)), *before, int(segment[place])))
        assert sorted(wanted) == sorted((*row, target) for row, target in zip(histories.tolist(), targets.tolist(), strict=True))
        assert found.samples == 80
        # No item travels that is not needed.
        needed = sum(len({(s, p) for s, p in _slots(chosen, context) if s == segment}) for segment in range(len(segments)))
        assert found.items == needed


def _slots(chosen: np.ndarray, context: int) -> set[tuple[int, int]]:
    pairs = zip(pool().sample_segments[chosen].tolist(), pool().sample_places[chosen].tolist(), strict=True)
    return {(segment, slot) for segment, place in pairs for slot in range(max(0, place - context), place + 1)}


def test_the_order_of_pieces_does_not_tell_whose_they_are() -> None:
    found = pieces(pool(), np.arange(60), 2)
    assert [row.tolist() for row in found.histories] == sorted(row.tolist() for row in found.histories)


def test_an_answer_fits_its_bytes_and_is_what_the_wire_says() -> None:
    matcher = Matcher(pool())
    sizes = []
    for most in (3072, 300, 200, 60):
        answer = matcher.answer(_profile(3), 100, exclude=world().user_ids[3], most_bytes=most)
        assert len(answer.data) <= most
        back = decode_samples(answer.data, fingerprint=pool().fingerprint, items=pool().items)
        assert [row.tolist() for row in back.histories] == [row.tolist() for row in answer.segments.histories]
        assert answer.found == 100
        sizes.append((answer.segments.samples, answer.context))
    # All of them, then as many as fit with the least that stands before them, LEAST_CONTEXT or all that the pool has.
    assert sizes[0] == (100, OPTIONS.context) and OPTIONS.context < LEAST_CONTEXT
    assert sizes == sorted(sizes, reverse=True) and 1 <= sizes[3][0] < sizes[2][0] < 100
    with pytest.raises(SampleError, match="30 bytes do not hold one sample"):
        matcher.answer(_profile(3), 100, most_bytes=30)


def test_less_stands_before_each_sample_where_that_makes_all_of_them_fit() -> None:
    data = world()
    wide = build_pool(data.sequences, data.user_ids, master(), consent=EVERYBODY, options=PoolOptions(k=0, samples=1, context=25))
    matcher, profile = Matcher(wide), history_profile(master(), data.sequences[3], wide.pools)
    full = matcher.answer(profile, 40, most_bytes=4000)
    fitted = matcher.answer(profile, 40, most_bytes=len(full.data) - 1)
    assert full.context == 25 > fitted.context >= LEAST_CONTEXT and fitted.segments.samples == full.segments.samples == 40
    # The longest that fits: one more does not.
    found = matcher.nearest(directions(profile[None], 3)[0], 40)
    assert len(encode_samples(pieces(wide, found, fitted.context + 1), wide.fingerprint)) > len(full.data) - 1 >= len(fitted.data)


def test_a_history_is_answered_like_its_profile_and_another_backbone_is_refused() -> None:
    history = world().sequences[3]
    found = match(pool(), master(), history, 20, exclude=world().user_ids[3])
    answer = Matcher(pool()).answer(_profile(3), 20, exclude=world().user_ids[3])
    assert [row.tolist() for row in found.histories] == [row.tolist() for row in answer.segments.histories]
    with pytest.raises(SampleError, match=r"^pool: fingerprint: "):
        match(pool(), master(seed=1), history)


@pytest.mark.parametrize("profile", [np.zeros(5), np.full(49, np.nan), np.zeros((1, 49))])
def test_a_profile_of_another_backbone_is_refused(profile: np.ndarray) -> None:
    with pytest.raises(SampleError, match=r"^match: a profile of shape"):
        Matcher(pool()).answer(profile)


def test_a_large_pool_without_the_package_is_compared_row_by_row_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    codes, scales = pool().codes, pool().scales
    make_search(codes, scales, told.append)
    assert told == []
    monkeypatch.setattr("chordkit.coda.search.MOST_BY_BRUTE_FORCE", 100)
    direction = directions(_profile(3)[None], 3)[0]
    assert make_search(codes, scales, told.append)(direction, 9).tolist() == brute_force(codes, scales)(direction, 9).tolist()
    assert len(told) == 1 and "pip install 'chordkit[match]'" in told[0] and "more than 100" in told[0]


def test_an_index_finds_what_brute_force_finds() -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(40, 48))
    rows = (centres[rng.integers(40, size=30_000)] + 0.7 * rng.normal(size=(30_000, 48))).astype(np.float32)
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    codes = np.rint(rows / scales[:, None]).astype(np.int8)
    exact, index = brute_force(codes, scales), indexed(codes, scales)
    recalls = [len(np.intersect1d(exact(row, 200), index(row, 200))) / 200 for row in rows[::1500]]
    assert np.mean(recalls) >= 0.95
