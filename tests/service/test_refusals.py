"""Every refusal has its status and one sentence that says what is wrong."""

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

JSON = {"content-type": "application/json"}
ITEMS = {"content-type": "application/vnd.chordkit.items"}
GOOD = np.full(49, 0.5, "<f4")


def _but(place: int, value: float) -> bytes:
    changed = GOOD.copy()
    changed[place] = value
    return changed.tobytes()


def _json(**changes: Any) -> bytes:  # $ stands for the fingerprint
    return json.dumps({"fingerprint": "$", "profile": GOOD.tolist()} | changes).encode()


REFUSED = {
    "no fingerprint": ({}, GOOD.tobytes(), {"chord-fingerprint": None}, 422, "header Chord-Fingerprint: field required"),
    "not a fingerprint": ({}, GOOD.tobytes(), {"chord-fingerprint": "12"}, 422, "Chord-Fingerprint"),
    "another backbone": ({}, GOOD.tobytes(), {"chord-fingerprint": "0" * 16}, 409, "is not served here, but $; fetch the current bundle"),
    "too few bits": ({}, GOOD.tobytes(), {"chord-bits": "2.25"}, 422, "Chord-Bits: input should be greater than or equal to 2.5"),
    "too many bits": ({}, GOOD.tobytes(), {"chord-bits": "6.25"}, 422, "Chord-Bits"),
    "bits between": ({}, GOOD.tobytes(), {"chord-bits": "2.6"}, 422, "Chord-Bits: input should be a multiple of 0.25"),
    "no number": ({}, GOOD.tobytes(), {"chord-bits": "nan"}, 422, "Chord-Bits"),
    "unknown class": ({}, GOOD.tobytes(), {"chord-device": "toaster"}, 422, "none of this service's classes (small, medium, large)"),
    "class and bits": ({}, GOOD.tobytes(), {"chord-device": "small", "chord-bits": "3"}, 422, "give either device or bits"),
    "serial 0": ({}, GOOD.tobytes(), {"chord-serial": "0"}, 422, "Chord-Serial"),
    "serial beyond": ({}, GOOD.tobytes(), {"chord-serial": str(2**53)}, 422, "Chord-Serial"),
    "long subject": ({}, GOOD.tobytes(), {"chord-subject": "00" * 25}, 422, "Chord-Subject"),
    "unknown form": ({}, GOOD.tobytes(), {"chord-form": "raw"}, 422, "Chord-Form"),
    "unknown header": ({}, GOOD.tobytes(), {"chord-budget": "3"}, 422, "header Chord-Budget: extra inputs are not permitted"),
    "no deadline": ({}, GOOD.tobytes(), {"chord-deadline-ms": "0"}, 422, "Chord-Deadline-Ms"),
    "odd deadline": ({}, GOOD.tobytes(), {"chord-deadline-ms": "1e3"}, 422, "Chord-Deadline-Ms"),
    "short profile": ({}, GOOD.tobytes()[:-4], {}, 422, "profile: 48 numbers instead of the 49"),
    "half a number": ({}, GOOD.tobytes()[:-1], {}, 422, "195 bytes are no float32 numbers"),
    "no body": ({}, b"", {}, 422, "profile: 0 numbers"),
    "not a number": ({}, _but(3, np.nan), {}, 422, "not finite"),
    "infinite": ({}, _but(48, np.inf), {}, 422, "not finite"),
    "large": ({}, _but(48, 2e6), {}, 422, "above 1,000,000"),
    "too long": ({}, bytes(65_537), {}, 413, "body: it has more than 65536 bytes"),
    "another type": ({}, GOOD.tobytes(), {"content-type": "text/plain"}, 415, "content-type: send application/octet-stream"),
    "not JSON": ({}, b"{", JSON, 422, "body: not JSON"),
    "JSON of another kind": ({}, b"[]", JSON, 422, "body"),
    "a member twice": ({}, b'{"bits": 3, "bits": 4}', JSON, 422, "the member 'bits' is there twice"),
    "a text for a number": ({}, _json(bits="3"), JSON, 422, "bits: "),
    "neither": ({}, _json(profile=[]), JSON, 422, "profile"),
    "both": ({}, _json(items=[1]), JSON, 422, "give either profile or items"),
    "unknown member": ({}, _json(user="42"), JSON, 422, "user: extra"),
    "huge in JSON": ({}, _json(profile=[1e300] * 49), JSON, 422, "not finite"),
    "item 0": ({}, np.array([1, 0], "<i4").tobytes(), ITEMS, 422, "below 1"),
    "item beyond": ({}, np.array([1, 41], "<i4").tobytes(), ITEMS, 422, "41 is beyond the catalogue's 40"),
    "no items": ({}, b"", ITEMS, 422, "0 bytes are not 1 to 4096 items"),
    "items unwanted": ({"items": False}, np.array([1], "<i4").tobytes(), ITEMS, 422, "takes profiles alone"),
    "bare unwanted": ({"bare": False}, GOOD.tobytes(), {"chord-form": "strategy"}, 422, "signed envelopes alone"),
    "no key": ({"key": None}, GOOD.tobytes(), {}, 422, "no key to sign with"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_its_status_and_one_sentence(name: str, service, make, material) -> None:
    changes, body, headers, status, sentence = REFUSED[name]
    fingerprint = material.master().fingerprint.hex()
    asked = make(**changes) if changes else service
    given = {"chord-fingerprint": fingerprint, "content-type": "application/octet-stream"} | headers
    answer = asked(
        "POST",
        "/v1/strategy",
        content=body.replace(b"$", fingerprint.encode()) if headers is JSON else body,
        headers={header: value for header, value in given.items() if value is not None},
    )
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert sentence.replace("$", fingerprint) in detail and "\n" not in detail and len(detail) < 250


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic secret", "Bearer ", "secret", "Bearer secret2"])
def test_without_a_token_nobody_is_answered(given: str | None, make, folder) -> None:
    asked = make(tokens=folder / "tokens.txt")
    for path in ("/v1/strategy", "/v1/samples"):
        answer = asked("POST", path, headers={} if given is None else {"authorization": given})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    # The proxy and the counters ask without one.
    assert asked("GET", "/healthz").status_code == asked("GET", "/readyz").status_code == 200


def test_a_body_that_lies_about_its_length_is_cut_off(service, material) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield bytes(4096)

    headers = {"chord-fingerprint": material.master().fingerprint.hex()}
    answer = service("POST", "/v1/strategy", content=endless(), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_samples_are_not_there_without_a_pool(make, material, tmp_path) -> None:
    weights = material.write_model(tmp_path / "models", seed=1)
    asked = make(models=tmp_path / "models")
    answer = asked("POST", "/v1/samples", content=GOOD.tobytes(), headers={"chord-fingerprint": weights.fingerprint.hex()})
    assert answer.status_code == 404 and "no pool for backbone" in answer.json()["detail"]


def test_a_budget_outside_of_what_was_learned_is_refused(make, material, tmp_path) -> None:
    weights = material.write_model(tmp_path / "models", seed=1, budgets=(2.5, 4.0))
    asked = make(models=tmp_path / "models")
    headers = {"chord-fingerprint": weights.fingerprint.hex()}
    assert asked("POST", "/v1/strategy", content=GOOD.tobytes(), headers=headers | {"chord-bits": "4"}).status_code == 200
    answer = asked("POST", "/v1/strategy", content=GOOD.tobytes(), headers=headers | {"chord-bits": "4.25"})
    assert answer.status_code == 422 and "outside of 2.5 to 4" in answer.json()["detail"]


def test_a_fault_in_the_service_is_500_and_says_nothing_of_the_request(make, material, monkeypatch) -> None:
    asked = make()
    model = next(iter(asked.state.catalogue.models.values()))
    monkeypatch.setattr(model, "strategies", lambda *_: [][0])
    with pytest.raises(IndexError):  # which uvicorn writes down
        asked("POST", "/v1/strategy", content=GOOD.tobytes(), headers={"chord-fingerprint": material.master().fingerprint.hex()})
    assert 'status="500"} 1.0' in asked("GET", "/metrics").text
