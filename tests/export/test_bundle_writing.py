"""A bundle is written whole and fitting, or not at all."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.errors import BundleError, CheckFailed
from chordkit.export import bundle
from chordkit.export.parity import FP32_TOLERANCE, VectorSet, compare
from chordkit.strategy import uniform


def test_contents_that_do_not_fit_together_are_not_written(toy, tmp_path: Path) -> None:
    good = toy.contents()
    bad_vectors = dataclasses.replace(good.vectors, candidates=good.vectors.candidates + toy.ITEMS)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"item_ids": [""]}, "0 item ids were given"),
        ({"strategies": {"../up": good.strategies["user-1"]}}, "the strategy name '../up' is not allowed"),
        ({"strategies": {"user-1": uniform(toy.master(1).channel_table, 4, toy.master(1).fingerprint)}}, "was made for another backbone"),
        ({"vectors": bad_vectors}, "outside the catalogue 1..9"),
        ({"vectors": VectorSet(good.vectors.histories, good.vectors.candidates, good.vectors.targets)}, "refers to test vectors 'fp32'"),
        ({"artifacts": [good.artifacts[0], good.artifacts[0]]}, "two artifacts are called 'litert-fp32'"),
        ({"artifacts": [good.artifacts[0].model_copy(update={"data": None})]}, "has no bytes, and litert runs from a file"),
        ({"artifacts": [good.artifacts[1].model_copy(update={"strategy": "user-3"})]}, "was made with strategy 'user-3'"),
        ({"name": "a/b"}, "contents do not fit together"),
    ]
    for changes, message in cases:
        with pytest.raises(BundleError, match=message):
            bundle.write(tmp_path / "x.chord", toy.contents(**changes))
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_that_did_not_pass_the_gate_is_neither_written_nor_signed(toy, tmp_path: Path) -> None:
    good = toy.contents()
    failed = compare(good.vectors.scores["fp32"] + 1, good.vectors.scores["int8"], FP32_TOLERANCE)
    assert not failed.passed
    for parity, message in (
        (failed, "artifact native-user-1: does not agree with the reference"),
        (None, "native-user-1 was never compared"),
    ):
        ungated = good.artifacts[1].model_copy(update={"parity": parity})
        with pytest.raises(CheckFailed, match=message):
            bundle.write(tmp_path / "x.chord", toy.contents(artifacts=[good.artifacts[0], ungated]), toy.KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_writing_leaves_the_old_bundle_or_the_new_one(toy, tmp_path: Path) -> None:
    path = tmp_path / "toy.chord"
    bundle.write(path, toy.contents(), toy.KEY)
    old = path.read_bytes()
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from conftest import Toy; from chordkit.export import bundle\n"
        "t = Toy(); c = t.contents(name='new')\nprint('ready', flush=True)\n"
        "while True: bundle.write(sys.argv[2], c, t.KEY)"
    )
    generator = np.random.default_rng(3)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(float(generator.uniform(0, 0.05)))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with bundle.open(path, toy.PUBLIC) as opened:
            assert opened.manifest.name == "new" or path.read_bytes() == old
