"""Verification of a whole bundle: what is inside fits together, and its artifacts reproduce the test vectors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.errors import BundleError, CheckFailed
from chordkit.export import bundle


@pytest.fixture
def runner(toy):
    """Makes runners whose scores are those of the toy's model, times a factor, plus noise."""

    class Runner:
        def __init__(self, factor: float, noise: float = 0.0) -> None:
            self.factor, self.noise = factor, noise

        def scores(self, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
            return self.factor * toy.scores(history[None], candidates[None])[0] + self.noise * np.cos(np.arange(len(candidates)))

    return Runner


def test_verify_runs_the_artifacts_over_the_vectors_on_request(toy, runner, signed: Path) -> None:
    report = bundle.verify(signed, toy.PUBLIC)
    assert report.passed and report.signature_checked and report.vectors == ()
    assert report.checks == (
        "container",
        "manifest",
        "members",
        "signature",
        "master",
        "strategies",
        "items",
        "names",
        "categories",
        "vectors",
        "artifacts",
        "parity",
    )
    asked: list[str] = []

    def factory(opened: bundle.Bundle, entry: Any) -> Any:
        asked.append(entry.name)
        return runner(1.0)

    # The toy's native artifact would be held against the engine's arithmetic, for which its master is no whole model.
    report = bundle.verify(signed, toy.PUBLIC, runner_factory=factory, artifacts=["litert-fp32"])
    assert asked == ["litert-fp32"]
    assert report.require() is report and report.passed
    assert [result.report.n for result in report.vectors] == [3]
    json.loads(report.model_dump_json())
    bad = bundle.verify(signed, toy.PUBLIC, runner_factory=lambda opened, entry: runner(1.0, 0.1), artifacts=["litert-fp32"])
    assert not bad.passed
    with pytest.raises(CheckFailed, match=r"toy\.chord: artifact litert-fp32: does not agree with the reference"):
        bad.require()
    with pytest.raises(BundleError, match="no artifact 'x'"):
        bundle.verify(signed, runner_factory=factory, artifacts=["x"])


def test_verify_refuses_an_artifact_that_the_manifest_itself_says_did_not_pass(toy, signed: Path, tmp_path: Path) -> None:
    def ungated(manifest: dict[str, Any]) -> None:
        manifest["artifacts"][0]["parity"] = None

    for change in (ungated, toy.setting("artifacts.0.parity.passed", False)):
        (tmp_path / "x.chord").write_bytes(toy.with_manifest(toy.members(signed), change))
        report = bundle.verify(tmp_path / "x.chord", toy.PUBLIC)
        assert not report.passed and report.unproven == ("litert-fp32",) and "parity" not in report.checks
        with pytest.raises(CheckFailed, match="litert-fp32 did not pass the parity gate"):
            report.require()


def test_verify_finds_a_manifest_that_describes_another_model(toy, signed: Path, tmp_path: Path) -> None:
    for change, message in (
        (toy.setting("backbone.channels.0.in_features", 5), "channel table"),
        (toy.setting("backbone.config.max_length", 5), "configuration"),
        (toy.setting("dataset.items", toy.ITEMS + 1), "speaks of 10 items, the master weights have 9"),
        (toy.setting("vectors.count", 4), "test vectors that the manifest announces"),
    ):
        (tmp_path / "x.chord").write_bytes(toy.with_manifest(toy.members(signed), change))
        with pytest.raises(BundleError, match=message):
            bundle.verify(tmp_path / "x.chord", toy.PUBLIC)
