"""Bundles that are damaged in every layer and signed anew: C and Python give the same answer. CHORD_FUZZ_SECONDS makes it run longer."""

import copy
import hashlib
import json
import os
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

from chordkit.errors import BundleError

SECONDS = float(os.environ.get("CHORD_FUZZ_SECONDS", "2"))

pytestmark = pytest.mark.checkout


def _nodes(value: Any, path: tuple = ()) -> list[tuple]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in children for found in _nodes(child, (*path, key)))]


def _edited(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One value of a manifest changed, removed, repeated or added; half of the time one of those that the verifier takes."""
    document = copy.deepcopy(document)
    paths = _nodes(document)[1:]
    if rng.random() < 0.5:
        paths = [
            path for path in paths if path[0] in ("format_version", "counter", "members", "signature", "user_vectors", "sbom", "words")
        ]
    *parents, last = rng.choice(paths)
    node: Any = document
    for parent in parents:
        node = node[parent]
    value, kind = node[last], rng.randrange(5)
    if kind == 0:
        del node[last]
    elif kind == 1:
        node[last] = rng.choice([None, True, 0, 1, 2, 3, 4, 5, -1, 2**53 - 1, 2**53, 1.5, "", "x", [], {}, [value], {"x": value}])
    elif kind == 2 and isinstance(value, str) and value:
        place = rng.randrange(len(value))
        node[last] = value[:place] + rng.choice("a0G/é\n\x7f") + value[place + 1 :]
    elif kind == 2 and isinstance(value, int):
        node[last] = value + rng.choice([-1, 1, 1 << 32])
    elif kind == 3 and isinstance(node, list):
        node.insert(rng.randrange(len(node) + 1), copy.deepcopy(value))
    elif isinstance(node, dict):
        node[rng.choice(["x", "counter", "sbom", "user_vectors", "words", "é"])] = rng.choice([0, 1, [], {}, None])
    return document


def _damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 3])):
        position, kind = rng.randrange(len(changed) + 1), rng.randrange(4)
        if kind == 0:
            changed[position : position + 1] = rng.randbytes(1)
        elif kind == 1:
            del changed[position : position + rng.randint(1, 9)]
        elif kind == 2:
            changed[position:position] = rng.choice([rng.randbytes(rng.randint(1, 9)), b" ", b"\n", b"0", b'"', b","])
        else:
            other = rng.randrange(len(changed) + 1)
            changed[position : position + 8] = changed[other : other + 8]
    return bytes(changed)


def _mutant(toy, members: dict[str, bytes], rng: random.Random) -> tuple[str, bytes, bytes]:
    """What was done, the bundle, and its manifest."""
    document, raw = json.loads(members["manifest.json"]), members["manifest.json"]
    kind = rng.choice(["container", "members", "hashed members", "manifest", "manifest", "bytes"])
    if kind == "container":
        data = toy.rebuilt(members)
        end = rng.choice([len(data), len(data), 400])  # the directory is at the end
        return kind, data[: len(data) - end] + _damaged(data[len(data) - end :], rng), raw
    changed = dict(members)
    if kind in ("members", "hashed members"):
        name = rng.choice(list(members)[2:])
        changed[name] = _damaged(members[name], rng)
        if kind == "hashed members":
            for entry in document["members"]:
                entry.update(bytes=len(changed[entry["name"]]), sha256=hashlib.sha256(changed[entry["name"]]).hexdigest())
            if rng.random() < 0.5:
                document["backbone"]["fingerprint"] = document["members"][0]["sha256"][:16]
            raw = toy.spelled(document)
        if rng.random() < 0.2:
            order = list(changed)
            rng.shuffle(order)
            changed = {name: changed[name] for name in order}
    elif kind == "manifest":
        raw = toy.spelled(_edited(document, rng))
    else:
        raw = _damaged(raw, rng)
    return kind, toy.resigned(changed, raw), raw


NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?")


def _is_spelled(toy, raw: bytes) -> bool:
    """Whether a manifest has chordkit's spelling, whatever that of its numbers."""
    return NUMBER.sub(b"0", toy.spelled(json.loads(raw))) == NUMBER.sub(b"0", raw)


def test_c_and_python_give_the_same_answer_to_whatever_comes(toy, signed: Path, personal: Path, grown: Path, verifier) -> None:
    rng, end, counts = random.Random(8), time.monotonic() + SECONDS, dict.fromkeys(("same", "accepted", "schema"), 0)
    golden = Path(__file__).parents[2] / "golden"
    paths = [signed, personal, grown, *(golden / f"bundle_v{version}.chord" for version in (1, 2, 3, 4, 5))]
    bundles = [toy.members(path) for path in paths] + [toy.members_of(toy.with_manifest(toy.members(signed), toy.setting("counter", 5)))]
    while time.monotonic() < end or counts["same"] < 300:
        kind, data, raw = _mutant(toy, rng.choice(bundles), rng)
        try:
            toy.read(data)
            said = ""
        except BundleError as error:
            said = str(error)
        verdict = verifier.bundle(data, [toy.PUBLIC])
        if verdict.accepted and said:
            # The verifier takes a few values of a manifest and holds the rest to its spelling; what else Python knows of it, it does not.
            assert "manifest.json" in said and kind in ("manifest", "bytes"), (kind, said)
            assert _is_spelled(toy, raw), (said, raw)
            counts["schema"] += 1
            continue
        assert verdict.accepted is (said == ""), (kind, said, verdict, raw)
        counts["same"] += 1
        counts["accepted"] += verdict.accepted
    print(counts)
    assert counts["accepted"] > 10 and counts["same"] > counts["schema"]
