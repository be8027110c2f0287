"""What a phone takes from mirrors, and what it refuses: the golden vectors, step by step."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tuf", reason="needs chordkit[release]")

from chordkit.errors import ReleaseError
from chordkit.release.client import ChannelClient, choose, kept_killed
from chordkit.release.metadata import LIMITS, MetadataRefused
from chordkit.release.words import PhoneFacts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "release.json").read_text())


MOST_BUNDLE = 100
"""Bytes of a bundle of the vectors."""


def _bytes(label: str) -> bytes:
    text = GOLDEN["files"][label]
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()


class _Asked:
    """A mirror that never gives more than it is asked for, and one byte."""

    def __init__(self, mirror: dict[str, str]) -> None:
        self.mirror = mirror

    def __call__(self, path: str, limit: int) -> bytes | None:
        role = next((role for role in LIMITS if f"{role}.json" in path), None)
        assert limit <= (MOST_BUNDLE if role is None else LIMITS[role])
        return _bytes(self.mirror[path])[: limit + 1] if path in self.mirror else None


def _check_bundles(client: ChannelClient, releases: dict[int, Any], step: dict[str, Any]) -> None:
    for bundle in step.get("bundles", []):
        if bundle["check"] == "passed":
            assert client.bundle(releases[bundle["release"]])
        else:
            with pytest.raises(MetadataRefused) as refused:
                client.bundle(releases[bundle["release"]])
            assert (refused.value.role, refused.value.check) == ("target", bundle["check"])


def _check_accepted(client: ChannelClient, step: dict[str, Any]) -> None:
    targets = client.refresh()
    assert targets.versions == step["accepted"]
    assert client.recovered is step.get("recovered", False)
    if "releases" in step:
        assert [release.number for release in targets.releases] == step["releases"]
    if "differences" in step:
        found = [
            {"name": each.name, "length": each.length, "sha256": each.digest, **each.to_json()["difference"]}
            for each in targets.differences
        ]
        assert found == step["differences"]
    if "killed" in step:
        assert [killed.to_json() for killed in targets.killed] == step["killed"]
        assert kept_killed(client.state) == targets.killed
    for ask in step.get("choices", []):
        phone = PhoneFacts(**ask["phone"] | {"runtimes": tuple(ask["phone"]["runtimes"])})
        chosen = choose(targets, phone, bytes.fromhex(ask["install_id"]), ask["kept"], ask["failed"])
        assert (chosen.number if chosen else None) == ask["chosen"], ask
    _check_bundles(client, {release.number: release for release in targets.releases}, step)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["case"])
def test_the_golden_steps(case: dict[str, Any]) -> None:
    state = b""
    for step in case["steps"]:
        client = ChannelClient(_bytes(case["root"]), state, _Asked(step["mirror"]), step["now"])
        before = json.loads(client.state)
        if "accepted" in step:
            _check_accepted(client, step)
        else:
            with pytest.raises(MetadataRefused) as refused:
                client.refresh()
            assert (refused.value.role, refused.value.check) == (step["role"], step["refused"])
            assert {**json.loads(client.state), "root": ""} == {**before, "root": ""}
        state = client.state
        assert json.loads(json.loads(state)["root"])["signed"]["version"] == step["root_kept"]


def _root_of(state: bytes) -> int:
    return json.loads(json.loads(state)["root"])["signed"]["version"]


def test_an_update_of_the_app_may_bring_a_newer_root_or_an_older_one() -> None:
    case = next(case for case in GOLDEN["cases"] if case["case"] == "a root is hidden")
    mirror = case["steps"][1]["mirror"]
    first, second = (_bytes(mirror[f"metadata/{number}.root.json"]) for number in (1, 2))
    old = ChannelClient(first, b"", _Asked(case["steps"][0]["mirror"]), case["steps"][0]["now"])
    old.refresh()
    assert _root_of(old.state) == 1
    newer = ChannelClient(second, old.state, _Asked({}), 0)
    assert _root_of(newer.state) == 2
    assert _root_of(ChannelClient(first, newer.state, _Asked({}), 0).state) == 2


@pytest.mark.parametrize("state", [b"{}", b"[]", b"x", b'{"format":"chordkit-channel","root":"x","version":1}'])
def test_a_kept_state_that_cannot_be_read_is_said(state: bytes) -> None:
    root = _bytes(GOLDEN["cases"][0]["root"])
    with pytest.raises(ReleaseError, match="kept state: it cannot be read"):
        ChannelClient(root, state, _Asked({}), 0)


def test_what_a_mirror_raises_passes_through_and_changes_nothing() -> None:
    def broken(path: str, limit: int) -> bytes | None:
        raise TimeoutError(path)

    client = ChannelClient(_bytes(GOLDEN["cases"][0]["root"]), b"", broken, 0)
    before = client.state
    with pytest.raises(TimeoutError):
        client.refresh()
    assert client.state == before
