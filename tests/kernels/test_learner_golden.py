"""The learner in C reads, refuses and learns what the golden vectors say (tests/golden)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig
from chordkit.coda.adapter import decode_adapter
from chordkit.coda.learning import Steps
from chordkit.coda.personal import PersonalOptions
from chordkit.errors import AdapterError, SampleError
from chordkit.kernels import Engine, available
from chordkit.kernels.learner import Learner, NativeLessons
from chordkit.quantization import QuantizedTable, container
from tests.kernels.conftest import random_master

pytestmark = [pytest.mark.checkout, pytest.mark.skipif(not available(), reason="the native engine was not compiled")]

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def engine() -> Engine:
    """One of 300 items whose fingerprint is that of the vectors: a master that has grown carries the one it had."""
    master = replace(random_master(SASRecConfig(items=300, dim=16, max_length=4)), origin=None)
    return Engine(replace(master, origin=container.Origin(bytes.fromhex(golden("coda_samples")["fingerprint"]), 1)).to_bytes())


def test_samples_are_read(engine: Engine) -> None:
    read = 0
    for case in golden("coda_samples")["accepted"]:
        if max((max(piece["items"]) for piece in case["segments"]), default=0) > engine.items:
            with pytest.raises(SampleError, match=r"^samples: table: "):
                Learner(engine).read_samples(bytes.fromhex(case["bytes"]))
            continue
        items, places = Learner(engine).read_samples(bytes.fromhex(case["bytes"]))
        wanted, begin = [], 0
        for piece in case["segments"]:
            wanted += [[begin, begin + place] for place in piece["samples"]]
            begin += len(piece["items"])
        assert items.tolist() == [item for piece in case["segments"] for item in piece["items"]]
        assert places.tolist() == wanted
        read += 1
    assert read >= 3


@pytest.mark.parametrize("case", golden("coda_samples")["refused"]["cases"], ids=lambda case: case["case"])
def test_refused_samples_are_refused_by_the_check_named(engine: Engine, case: dict[str, str]) -> None:
    assert golden("coda_samples")["refused"]["items"] == engine.items
    with pytest.raises(SampleError, match=f"^samples: {case['check']}: "):
        Learner(engine).read_samples(bytes.fromhex(case["bytes"]))


def test_adapters_move_a_state_as_they_say(engine: Engine) -> None:
    vectors = golden("coda_adapters")
    learner, moved = Learner(engine, bytes.fromhex(vectors["strategy"])), vectors["moved"]
    for number, case in enumerate(vectors["accepted"]):
        state = learner.adapt(bytes.fromhex(case["bytes"]), np.array(moved["hidden"]))
        if number == moved["accepted"]:
            np.testing.assert_allclose(state, moved["state"], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("case", golden("coda_adapters")["refused"], ids=lambda case: case["case"])
def test_refused_adapters_are_refused_by_the_check_named(engine: Engine, case: dict[str, str]) -> None:
    learner = Learner(engine, bytes.fromhex(golden("coda_adapters")["strategy"]))
    with pytest.raises(AdapterError, match=f"^adapter: {case['check']}: "):
        learner.adapt(bytes.fromhex(case["bytes"]), np.zeros(16))


@pytest.mark.parametrize("method", ["adam", "sgd"])
def test_a_user_and_samples_come_to_what_the_vectors_say(method: str) -> None:
    vectors = golden("coda_personal")
    codes, run = np.array(vectors["table"]["codes"], np.int8), vectors["runs"][method]
    master = random_master(SASRecConfig(items=len(codes) - 1, dim=16, max_length=4))
    table = QuantizedTable(codes, np.full(len(codes), vectors["table"]["scale"], np.float32))
    engine = Engine(replace(master, embeddings=master.embeddings | {"item_embedding": table}).to_bytes())
    own, outside = (
        NativeLessons(np.array(part["items"], np.int32), np.array(part["lessons"], np.uint32), np.array(part["states"], np.float32))
        for part in (vectors["local"], vectors["outside"])
    )
    np.testing.assert_allclose(Learner(engine).inside(own, outside), vectors["inside"], atol=2e-5)
    options = PersonalOptions(Steps(10, run["rate"], method), others=vectors["others"])
    # With four passes what is rounded is a unit of the softmax, 1 / 32,512 (test_learner.py has the bound of a step).
    for passes, near in ((4, 5e-5), (1, 1e-3)):
        learner = Learner(engine, passes=passes)
        data, kept = learner.learn(own, outside, options)
        adapter = decode_adapter(data, fingerprint=engine.fingerprint, strategy=bytes(8), dim=16, items=engine.items)
        assert kept == run["kept"] and adapter.items.tolist() == run["items"]
        np.testing.assert_allclose(adapter.values, run["values"], atol=near)
        found, report = learner.personalise(own, outside, options)
        assert (report.verdict.lessons, report.verdict.adopt) == (run["judged"], run["adopt"]) and (found == data) == run["adopt"]
        got = report.verdict.before, report.verdict.after, report.verdict.low
        assert got == pytest.approx((run["before"], run["after"], run["low"]), abs=near)
