"""The phone's side of the flow: when it asks, what it adopts, what it refuses, what it forgets."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.coda.adapter import Adapter
from chordkit.coda.gate import Verdict, first_examined
from chordkit.coda.health import Counts, decode_health
from chordkit.coda.matching import Matcher
from chordkit.coda.personal import personalise
from chordkit.coda.phone import Answer, Cadence, Hint, Phone, Release, Request
from chordkit.coda.stream import Stream
from chordkit.kernels import Engine
from chordkit.strategy import Strategy, encode_user_vector, quantize_user_vector, seal, to_wire
from tests.coda.pool_material import OPTIONS, master, pool, world

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SUBJECT = b"somebody"
CLICKS = world().sequences[0].tolist()
CADENCE = Cadence(refresh=3, samples=6, wanted=20, fewest=2)


def strategy(width: int) -> bytes:
    return to_wire(Strategy(np.full(master().channel_table.channels, width, np.uint8), master().fingerprint))


@cache
def release() -> Release:
    return Release.of(master(), strategy(8), KEY.public_key(), 1.5, OPTIONS.pools)


def phone(cadence: Cadence = CADENCE) -> Phone:
    return Phone(release(), Engine(master().to_bytes()), cadence, subject=SUBJECT)


def enveloped(width: int = 2, serial: int = 1, subject: bytes = SUBJECT, key: Ed25519PrivateKey = KEY) -> Answer:
    sealed = seal(strategy(width), serial=serial, signing_key=key, subject=subject)
    return Answer(Hint(release().fingerprint, 1), envelope=sealed)


def sampled(request: Request) -> Answer:
    assert request.samples is not None
    return Answer(Hint(release().fingerprint, 1), samples=Matcher(pool()).answer(request.samples, request.count).data)


VECTOR = encode_user_vector(quantize_user_vector(np.ones(16, np.float32), master().fingerprint))


def window() -> np.ndarray:
    return np.array([CLICKS[:10]], np.int32)


def test_it_asks_when_there_is_something_new_to_ask_with() -> None:
    one, asked = phone(), {}
    for at, item in enumerate(CLICKS[:12]):
        one.click(item)
        request = one.request()
        if request is not None:
            asked[at] = (request.strategy is not None, request.samples is not None)
            assert request.bytes == 4 * (3 * 16 + 1) * sum(asked[at])
            one.receive(Answer(Hint(release().fingerprint, 1)))
    strategy, samples = (True, False), (False, True)
    assert asked == {0: strategy, 1: strategy, 2: samples, 3: strategy, 6: strategy, 8: samples, 9: strategy}


def test_what_was_not_answered_is_asked_again() -> None:
    one = phone(replace(CADENCE, learning=False))
    one.stream.extend(CLICKS[:5])
    first = one.request()
    one.stream.extend(CLICKS[5:6])
    second = one.request()
    assert first is not None and second is not None and first.strategy is not None and second.strategy is not None
    assert not np.array_equal(first.strategy, second.strategy)
    one.receive(enveloped())
    assert one.request() is None


def test_samples_are_asked_for_with_what_the_gate_does_not_examine() -> None:
    one = phone(replace(CADENCE, lessons=10))
    one.stream.extend(CLICKS[:13])
    request = one.request()
    assert request is not None and request.strategy is not None and request.samples is not None
    table = release().table
    np.testing.assert_array_equal(request.strategy, one.stream.profile(table, OPTIONS.pools))
    older = Stream(world().items)
    older.extend(CLICKS[: 13 - 10 + first_examined(10)])
    np.testing.assert_array_equal(request.samples, older.profile(table, OPTIONS.pools))


@pytest.mark.parametrize(("personal", "learning"), [(True, False), (False, True), (False, False)])
def test_it_asks_for_nothing_that_it_does_not_use(personal: bool, learning: bool) -> None:
    one = phone(replace(CADENCE, personal=personal, learning=learning))
    for item in CLICKS[:12]:
        one.click(item)
    request = one.request()
    assert (request is None) == (not personal and not learning)
    if request is not None:
        assert (request.strategy is not None, request.samples is not None) == (personal, learning)
    one.learn()
    assert one.counts.trainings == int(learning)


def test_its_scores_are_the_engines_under_the_strategy_it_adopted() -> None:
    one, engine = phone(), Engine(master().to_bytes())
    plain = one.scores(window())
    one.receive(enveloped(2))
    engine.adopt(strategy(2))
    items = np.arange(1, world().items + 1, dtype=np.int32)
    found = one.scores(window())
    # The engine rounds the hidden state to 16 bits before it scores.
    limit = float(np.abs(release().table).sum(axis=1).max() * np.abs(engine.hidden(window())).max()) / 65534
    np.testing.assert_allclose(found[0, 1:], engine.scores(window()[0], items) / 1.5, rtol=0, atol=limit)
    assert not np.allclose(found, plain, atol=1e-3)
    assert one.counts.strategies == 1


@pytest.mark.parametrize(
    "wrong",
    [
        enveloped(subject=b"another"),
        enveloped(key=Ed25519PrivateKey.from_private_bytes(bytes(32))),
        replace(enveloped(), envelope=(enveloped().envelope or b"").replace(SUBJECT, b"Somebody")),
        replace(enveloped(), envelope=strategy(2)),
        replace(enveloped(), envelope=seal(VECTOR, serial=1, signing_key=KEY, subject=SUBJECT)),
        Answer(Hint(release().fingerprint, 1), samples=b"CHRS" + bytes(40)),
    ],
    ids=["subject", "key", "signature", "bare", "vector", "samples"],
)
def test_what_fails_a_check_changes_nothing_and_is_counted(wrong: Answer) -> None:
    one = phone()
    before = one.scores(window())
    one.receive(wrong)
    np.testing.assert_array_equal(one.scores(window()), before)
    assert (one.counts.refused, one.counts.strategies, one.counts.samples) == (1, 0, 0)


def test_no_older_envelope_comes_back() -> None:
    one = phone()
    one.receive(enveloped(2, serial=5))
    one.receive(enveloped(4, serial=5))
    one.receive(enveloped(4, serial=3))
    assert (one.counts.strategies, one.counts.refused) == (1, 2)


def adopted(one: Phone, shift: float = 0.2, strategy_digest: bytes | None = None) -> Adapter:
    """Let a phone adopt an adapter that changes something."""
    head = one._head
    zero = Adapter.zero(head.dim, np.array([3], np.int32), head.fingerprint, head.strategy if strategy_digest is None else strategy_digest)
    adapter = zero.with_values(zero.values + np.float32(shift))
    assert one.adopted.offer(adapter, Verdict(20, -4.0, -3.0, 0.5))
    one._unseen = one.stream.total
    return adapter


def test_an_adapter_is_for_one_strategy() -> None:
    one = phone()
    one.receive(enveloped(2))
    under = one.scores(window())
    adopted(one)
    assert not np.allclose(one.scores(window()), under)
    one.receive(enveloped(2, serial=2))
    assert one.adopted.current is not None  # the same strategy again
    one.receive(enveloped(4, serial=3))
    assert one.adopted.current is None


def test_an_adapter_that_new_clicks_speak_against_is_undone() -> None:
    one = phone(replace(CADENCE, fewest=2, refresh=12))
    one.stream.extend(CLICKS[:3])
    adapter = adopted(one)
    wrong = adapter.with_values(np.where(np.arange(len(adapter.values)) == len(adapter.values) - 1, 30.0, 0.0).astype(np.float32))
    one.adopted.current = wrong  # all for item 3
    one.stream.extend([item for item in CLICKS if item != 3][3:15])
    one.learn()
    assert (one.counts.undone, one.adopted.current is wrong) == (1, False)
    kept = phone(replace(CADENCE, fewest=2, refresh=12))
    kept.stream.extend(CLICKS[:3])
    never = next(item for item in range(1, world().items + 1) if item not in CLICKS)
    right = Adapter.zero(adapter.dim, np.array([never], np.int32), adapter.fingerprint, adapter.strategy)
    kept.adopted.current = right.with_values(np.r_[right.values[:-1], np.float32(-5)])
    kept._unseen = 3
    kept.stream.extend(CLICKS[3:15])
    kept.learn()
    assert kept.counts.undone == 0


def test_it_learns_from_its_clicks_and_from_the_samples_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, ...]] = []

    def watched(*arguments: Any) -> Any:
        given.append(arguments)
        return personalise(*arguments)

    monkeypatch.setattr("chordkit.coda.phone.personalise", watched)
    one = phone()
    one.stream.extend(CLICKS[:12])
    request = one.request()
    assert request is not None
    one.receive(sampled(request))
    one.learn()
    _, own, outside, _ = given[0]
    assert own.targets.tolist() == CLICKS[1:12]
    windows, targets = one._samples.windows(10)
    assert outside.targets.tolist() == targets.tolist() and len(targets) == 20
    np.testing.assert_allclose(outside.states, one.encoder.hidden(windows), atol=1e-6)
    assert all(set(row) >= set(seen) - {0} for row, seen in zip(outside.seen.tolist(), windows.tolist(), strict=True))
    one.learn()  # nothing is new
    assert (len(given), one.counts.trainings, one.counts.samples) == (1, 1, 1)


def test_another_release_stops_requests_until_it_is_there() -> None:
    one = phone()
    one.stream.extend(CLICKS[:6])
    one.receive(replace(enveloped(), hint=Hint(bytes(8), 2)))
    assert one.outdated and one.request() is None
    one.receive(replace(enveloped(4, serial=2), hint=Hint(release().fingerprint, 1)))
    assert not one.outdated and one.request() is not None


def test_forgetting_brings_back_the_release_as_it_came() -> None:
    one, fresh = phone(), phone().scores(window())
    one.stream.extend(CLICKS[:12])
    one.receive(enveloped(2))
    adopted(one)
    one.forget()
    np.testing.assert_array_equal(one.scores(window()), fresh)
    assert (len(one.stream), one._samples.samples, one.request()) == (0, 0, None)


def test_phones_that_share_an_engine_take_turns() -> None:
    engine = Engine(master().to_bytes())
    first, second = (Phone(release(), engine, CADENCE, subject=SUBJECT) for _ in range(2))
    first.receive(enveloped(2))
    before = first.scores(window())
    second.wake()
    assert not np.allclose(second.scores(window()), before, atol=1e-3)
    first.wake()
    np.testing.assert_array_equal(first.scores(window()), before)


def test_a_report_counts_and_begins_anew() -> None:
    one = phone()
    for item, hit in zip([*CLICKS[:6], 4000], [True] * 2 + [False] * 5, strict=True):
        one.click(item, hit=hit)
    assert one.counts == Counts(clicks=6, hits=2, unknown=1)
    told, fingerprint = decode_health(one.report())
    assert (told, fingerprint) == (Counts(clicks=4, hits=2, unknown=1), release().fingerprint)
    assert one.counts == Counts()


@pytest.mark.checkout
def test_what_the_page_shows_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "flow.md").read_text()
    code = page.split("<!-- flow:begin -->")[1].split("<!-- flow:end -->")[0].split("```python")[1].split("```")[0]
    given = {"master": master(), "shared_strategy": strategy(8), "public_key": KEY.public_key(), "temperature": 1.5, "item": 7}
    sealed = seal(strategy(2), serial=1, signing_key=KEY, subject=b"42")
    names: dict[str, Any] = given | {"Engine": Engine, "answer_of": lambda _: Answer(Hint(master().fingerprint, 1), envelope=sealed)}
    exec(code, names)
    told = decode_health(names["record"])[0]
    assert (told.clicks, told.requests, told.strategies, told.refused) == (1, 1, 1, 0)
    assert 1 <= names["best"] <= world().items and not len(names["phone"].stream)
