"""What the service answers: strategies that a phone takes, the same ones whenever it is asked, and samples."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from chordkit.coda.matching import Matcher
from chordkit.coda.pool import Pool
from chordkit.coda.profiles import history_profile
from chordkit.hypernetwork import load_hypernetwork, make_strategies
from chordkit.inputs import left_pad
from chordkit.strategy import average_bits, decode, open_envelope, seal


def _headers(weights: Any, **terms: Any) -> dict[str, str]:
    given = {"fingerprint": weights.fingerprint.hex()} | terms
    return {f"Chord-{name.replace('_', '-')}": str(value) for name, value in given.items()}


def _octets(weights: Any, profile: np.ndarray, **terms: Any) -> dict[str, Any]:
    return {"content": profile.astype("<f4").tobytes(), "headers": _headers(weights, **terms)}


def test_an_envelope_is_what_a_phone_takes(service, material, folder) -> None:
    weights, profile = material.master(), material.profiles(1)[0]
    answer = service("POST", "/v1/strategy", **_octets(weights, profile, serial=7, subject=b"user-42".hex()))
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-store"
    opened = open_envelope(
        answer.content, folder / "key.pub.pem", fingerprint=weights.fingerprint, subject=b"user-42", minimum_serial=7, now=1
    )
    assert (opened.serial, opened.not_before, opened.expires) == (7, 0, 0)
    bare = service("POST", "/v1/strategy", **_octets(weights, profile, form="strategy")).content
    assert opened.payload == bare
    assert answer.content == seal(bare, serial=7, signing_key=folder / "key.pem", subject=b"user-42")
    decode(bare, fingerprint=weights.fingerprint, channels=weights.channel_table.channels)


def test_it_is_the_strategy_that_the_command_line_makes(service, material, folder) -> None:
    weights = material.master()
    network, _ = load_hypernetwork(folder / "models" / "a" / "hypernetwork.safetensors", weights)
    histories = [np.arange(1, 12, dtype=np.int32), np.array([40, 3, 3], np.int32)]
    expected = make_strategies(network, left_pad(histories, material.POOLS[-1]))
    for history, widths in zip(histories, expected, strict=True):
        profile = history_profile(weights, history, material.POOLS)
        by_profile = service("POST", "/v1/strategy", **_octets(weights, profile, form="strategy"))
        request = {"content": history.astype("<i4").tobytes(), "headers": _headers(weights, form="strategy")}
        request["headers"]["Content-Type"] = "application/vnd.chordkit.items"
        assert service("POST", "/v1/strategy", **request).content == by_profile.content
        found = decode(by_profile.content, fingerprint=weights.fingerprint, channels=weights.channel_table.channels)
        # In float32 there and float64 here: channels within rounding of each other may change places.
        assert (found.widths != widths).sum() <= 2


@pytest.mark.parametrize(("terms", "bits"), [({}, 3.0), ({"bits": 2.5}, 2.5), ({"bits": 6}, 6.0), ({"device": "medium"}, 4.0)])
def test_the_budget_is_met(service, material, terms: dict[str, Any], bits: float) -> None:
    weights = material.master()
    answer = service("POST", "/v1/strategy", **_octets(weights, material.profiles(1)[0], form="strategy", **terms))
    widths = decode(answer.content, fingerprint=weights.fingerprint, channels=weights.channel_table.channels).widths
    assert bits - 0.1 < average_bits(widths, weights.channel_table) <= bits


def test_the_same_request_gets_the_same_bytes_whatever_it_is_beside_and_whoever_answers(make, material) -> None:
    weights, profiles = material.master(), material.profiles(100, seed=3)
    budgets = [None, 2.5, 4.25]
    requests = [
        ("POST", "/v1/strategy", _octets(weights, profile, serial=place + 1, **({} if bits is None else {"bits": bits})))
        for place, profile in enumerate(profiles)
        for bits in [budgets[place % 3]]
    ]
    first, second = make(batch=64, linger_ms=20.0, deadline_ms=60_000), make(batch=7, deadline_ms=60_000)
    together = [answer.content for answer in first.together(requests)]
    assert {bytes(each[:4]) for each in together} == {b"CHRE"} and len(set(together)) == 100
    assert [answer.content for answer in second.together(requests[::-1])] == together[::-1]
    assert [second(*request[:2], **request[2]).content for request in requests[:20]] == together[:20]


def test_json_asks_for_the_same_as_octets(service, material) -> None:
    weights, profile = material.master(), material.profiles(1, seed=4)[0]
    body = {"fingerprint": weights.fingerprint.hex(), "profile": profile.tolist(), "bits": 3.5, "serial": 9, "subject": "0a0b"}
    by_json = service("POST", "/v1/strategy", json=body)
    assert by_json.status_code == 200
    assert by_json.content == service("POST", "/v1/strategy", **_octets(weights, profile, bits=3.5, serial=9, subject="0a0b")).content


def test_samples_are_the_pools_nearest(service, material, folder) -> None:
    weights, history = material.master(), np.array([5, 9, 2, 2, 17], np.int32)
    matcher = Matcher(Pool.load(folder / "models" / "a" / "pool.safetensors"))
    profile = history_profile(weights, history, matcher.pool.pools)
    expected = matcher.answer(profile, 30).data
    assert expected[:4] == b"CHRS"
    assert service("POST", "/v1/samples", **_octets(weights, profile, count=30)).content == expected
    body = {"fingerprint": weights.fingerprint.hex(), "items": history.tolist(), "count": 30, "most_bytes": 256}
    assert len(service("POST", "/v1/samples", json=body).content) <= 256


def test_whose_own_samples_are_left_out_cannot_be_asked(service, material) -> None:
    # Two answers, with a user and without, would tell which pieces are that user's.
    answer = service("POST", "/v1/samples", **_octets(material.master(), material.profiles(1)[0], exclude="42"))
    assert answer.status_code == 422 and "Exclude" in answer.json()["detail"]


def test_samples_beyond_what_may_wait_are_refused(make, material, monkeypatch) -> None:
    import threading

    service = make(samples_queue=2)
    go = threading.Event()
    answer = Matcher.answer

    def slow(self: Any, *arguments: Any, **options: Any) -> Any:
        assert go.wait(20)
        return answer(self, *arguments, **options)

    monkeypatch.setattr(Matcher, "answer", slow)
    request = ("POST", "/v1/samples", _octets(material.master(), material.profiles(1)[0]))
    threading.Timer(0.3, go.set).start()
    found = service.together([request] * 6)
    assert sorted(each.status_code for each in found) == [200, 200, 503, 503, 503, 503]
    assert all(each.headers["retry-after"].isdigit() for each in found if each.status_code == 503)


def test_health_readiness_and_counts(make, material) -> None:
    service = make()
    assert service("GET", "/healthz").json() == {"alive": True}
    fingerprint = material.master().fingerprint.hex()
    assert service("GET", "/readyz").json() == {"ready": True, "models": {fingerprint: {"samples": True}}}
    service("POST", "/v1/strategy", **_octets(material.master(), material.profiles(1)[0]))
    service("GET", "/v1/profile-of-somebody")
    text = service("GET", "/metrics").text
    assert 'chordkit_requests_total{route="/v1/strategy",status="200"} 1.0' in text
    assert 'chordkit_requests_total{route="other",status="404"} 1.0' in text and "somebody" not in text
    assert "chordkit_batch_requests_count 1.0" in text
    service.state.draining = True
    assert service("GET", "/readyz").status_code == 503
