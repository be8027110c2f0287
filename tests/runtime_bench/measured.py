"""Artifacts of the tiny project's bundle as files, and the measuring programs on them."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig, build, initialise, make_master
from chordkit.errors import MissingRuntimeError
from chordkit.export import bundle as bundles
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.parity import Ids, Scores
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.runtime_bench.runners.launch import Launch
from chordkit.strategy import encode_user_vector, quantize_user_vector
from tests.conftest import CANDIDATES, Project

_ITEMS, _LENGTH, _DIM, _SCORED, _USERS = 40, 8, 16, 6, 5


@dataclass(frozen=True)
class Measured:
    """An artifact in a folder, how its program is started, and what its scores should be."""

    folder: Path
    launch: Launch
    expected: Scores

    @property
    def scores(self) -> Scores:
        return np.fromfile(self.launch.scores, "<f4").reshape(self.expected.shape)

    @property
    def records(self) -> Path:
        return Path(self.launch.records)

    def run(self, command: Sequence[str | Path], **changes: object) -> subprocess.CompletedProcess[str]:
        launch = replace(self.launch, **changes)  # type: ignore[arg-type]
        words = [*map(str, command), *launch.arguments()]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def launch_in(
    folder: Path, target: str, histories: Ids, candidates: Ids, artifact: bytes, strategy: bytes | None = None, master: bytes | None = None
) -> Launch:
    """The files of an artifact, and the shortest run of it."""
    np.ascontiguousarray(histories, "<i4").tofile(folder / "h.i32")
    np.ascontiguousarray(candidates, "<i4").tofile(folder / "c.i32")
    (folder / "artifact").write_bytes(artifact)
    if strategy is not None:
        (folder / "strategy").write_bytes(strategy)
    if master is not None:
        (folder / "master").write_bytes(master)
    return Launch(
        target=target,
        artifact=str(folder / "artifact"),
        strategy=None if strategy is None else str(folder / "strategy"),
        master=None if master is None else str(folder / "master"),
        histories=str(folder / "h.i32"),
        candidates=str(folder / "c.i32"),
        users=len(histories),
        scores=str(folder / "scores.f32"),
        records=str(folder / "records.jsonl"),
        pid=str(folder / "pid"),
        min_samples=20,
        min_seconds=0,
        max_seconds=20,
    )


def of_project(project: Project, target: str, folder: Path) -> Measured:
    """The artifact of the bundle for ``target`` that has a strategy, over the bundle's test vectors."""
    with bundles.open(project / "shop.chord", verify=False) as bundle:
        entry = next(each for each in bundle.manifest.artifacts if each.target == target and each.strategy is not None)
        strategy = bundle.strategy_bytes(entry.strategy)
        vectors = bundle.vectors()
        data = bytes(bundle.artifact(entry.name))
        master = bytes(bundle.member("master.chrm")) if find_target(target).capability.master else None
    histories, candidates = vectors.histories, vectors.candidates[:, :CANDIDATES]
    runner = load_runner(target, data, strategy=strategy, candidates=entry.candidates, master=master)
    expected = np.stack([runner.scores(*pair) for pair in zip(histories, candidates, strict=True)])
    return Measured(folder, launch_in(folder, target, histories, candidates, data, strategy, master), expected)


def needs(target: str) -> None:
    """Skip the test where the target's runtime is not there."""
    try:
        find_target(target).prepare()
    except MissingRuntimeError as error:
        pytest.skip(str(error))


def lowered(target: str, folder: Path, *, vector: bool = False) -> Measured:
    """A small random model on a runtime, for one that has no artifact in the bundle, or with a user vector."""
    needs(target)
    config = SASRecConfig(items=_ITEMS, max_length=_LENGTH, dim=_DIM, heads=1, blocks=1)
    master = make_master(initialise(build(config), "random", seed=1).eval())
    spec = ArtifactSpec(target, "int8", _SCORED, user_vector=vector)
    data = lower(spec, (master, np.full(master.channel_table.channels, 8, np.uint8)))
    rng = np.random.default_rng(1)
    histories = rng.integers(1, _ITEMS + 1, (_USERS, _LENGTH)).astype(np.int32)
    candidates = rng.integers(1, _ITEMS + 1, (_USERS, _SCORED)).astype(np.int32)
    weights = master.to_bytes() if find_target(target).capability.master else None
    runner = load_runner(target, data, candidates=_SCORED, master=weights)
    launch = launch_in(folder, target, histories, candidates, data, master=weights)
    user = None
    if vector:
        user = rng.normal(size=_DIM).astype(np.float32)
        # The operator of the whole engine takes the wire form.
        wire = encode_user_vector(quantize_user_vector(user, master.fingerprint))
        (folder / "user").write_bytes(wire if target == "executorch-chord" else user.tobytes())
        launch = replace(launch, user=str(folder / "user"))
    expected = np.stack([runner.scores(*pair, user) for pair in zip(histories, candidates, strict=True)])
    return Measured(folder, launch, expected)
