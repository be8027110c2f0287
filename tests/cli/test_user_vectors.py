"""User vectors from the shell, with real files: export, bundle, inspect, verify, validate and bench; and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import from_master
from chordkit.data import Dataset
from chordkit.export import bundle
from chordkit.export.assembly import assemble
from chordkit.export.collection import Sources, read_folder
from chordkit.export.targets import EagerRunner
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.recipes import eager_runner
from chordkit.strategy import decode, encode_user_vector, quantize_user_vector

CANDIDATES = 20
ARTIFACTS = ["litert-fp32", "litert-int8", "litert-u5", "onnx-fp32", "onnx-int8", "onnx-u5"]


@pytest.fixture(scope="module")
def personal(project, command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two users' vectors, artifacts that take them, and a signed bundle; u5 has a strategy too, u6 has none."""
    folder = tmp_path_factory.mktemp("personal")
    master = MasterWeights.load(project / "m.chrm")
    for seed, name in enumerate(("u5", "u6")):
        values = np.random.default_rng(seed).normal(0, 0.5, master.dim)
        (folder / f"{name}.chru").write_bytes(encode_user_vector(quantize_user_vector(values, master.fingerprint)))
    export = ("export", *made_from(project), *vectors_in(folder), "--target", "litert,onnx", "--candidates", CANDIDATES)
    made = command(*export, "--out", folder / "artifacts", "--json").json["artifacts"]
    assert [entry["name"] for entry in made] == ARTIFACTS and all(entry["user_vector"] for entry in made)
    # What has none is written as it was before there were any.
    indices = [json.loads((each / "artifacts" / "export.json").read_text()) for each in (folder, project.folder)]
    assert [index["version"] for index in indices] == [2, 1] and "user_vector" not in json.dumps(indices[1])
    make = ("bundle", "make", *made_from(project), *vectors_in(folder), "--artifacts", folder / "artifacts", *data_of(project))
    assert command(*make, "--key", project / "key.pem", "--out", folder / "shop.chord", "--json").status == 0
    return folder


def made_from(project) -> tuple[object, ...]:
    return "--master", project / "m.chrm", "--backbone", project / "m.fp32.safetensors", "--strategy", project / "u5.chrd"


def vectors_in(folder: Path) -> tuple[object, ...]:
    return "--user-vector", folder / "u5.chru", "--user-vector", folder / "u6.chru"


def data_of(project) -> tuple[object, ...]:
    return "--data", project / "shop.safetensors", "--histories", 60, "--vectors", 12


def test_the_bundle_has_them_and_says_so(project, command, personal: Path) -> None:
    seen = command("bundle", "inspect", personal / "shop.chord", "--json").json
    assert [entry["name"] for entry in seen["user_vectors"]] == ["u5", "u6"] and seen["format_version"] == 5
    assert "u5, u6" in command("bundle", "inspect", personal / "shop.chord").out
    report = command("bundle", "verify", personal / "shop.chord", "--public-key", project / "key.pub.pem", "--run", "--json").json
    assert report["passed"] and report["user_vectors"] == 2 and "user_vectors" in report["checks"]
    assert len(report["vectors"]) == len(ARTIFACTS)
    with bundle.open(personal / "shop.chord") as opened:
        for name in ("u5", "u6"):
            assert opened.user_vector_bytes(name) == (personal / f"{name}.chru").read_bytes()
            assert (personal / "artifacts" / f"{name}.chru").read_bytes() == opened.user_vector_bytes(name)
        runner, vectors = opened.runner(opened.artifact_entry("litert-u5")), opened.vectors()
        history, candidates = vectors.histories[0], vectors.candidates[0]
        own, other, nobody = (
            runner.scores(history, candidates, user) for user in (opened.user_vector("u5").values, opened.user_vector("u6").values, None)
        )
        assert np.array_equal(runner.for_user(opened.user_vector("u5").values).scores(history, candidates), own)
    assert not np.allclose(own, other) and not np.allclose(own, nobody)


def test_validate_and_bench_run_with_them(project, command, personal: Path) -> None:
    inside = command("validate", personal / "shop.chord", "--json").json
    assert inside["passed"] and list(inside["artifacts"]) == ARTIFACTS
    real = ("--data", project / "shop.safetensors", "--backbone", project / "m.fp32.safetensors", "--histories", 40)
    report = command("validate", personal / "shop.chord", *real, "--json").json
    assert report["passed"] and all(each["n"] == 40 for each in report["artifacts"].values())
    quick = ("--rounds", 5, "--block-ms", 1, "--processes", 1, "--launches", 1, "--artifact", "litert-u5", "--artifact", "onnx-int8")
    results = command("bench", personal / "shop.chord", *quick, "--json").json["results"]
    assert [result["name"] for result in results] == ["pytorch-eager", "litert-u5", "onnx-int8"]
    assert all(result["latency"]["p50_us"] > 0 and result["isolated"]["first_call_us"] > 0 for result in results)


def test_bench_times_eager_pytorch_with_a_vector_too(personal: Path, tmp_path: Path) -> None:
    with bundle.open(personal / "shop.chord") as opened:
        (tmp_path / "master").write_bytes(opened.member(bundle.MASTER))
        opened.user_vector("u5").values.tofile(tmp_path / "user")
        vectors, user = opened.vectors(), opened.user_vector("u5").values
        reference = EagerRunner(from_master(opened.master()), candidates=CANDIDATES, user_vector=True)
    inputs = vectors.histories[0], vectors.candidates[0]
    timed = eager_runner(str(tmp_path / "master"), CANDIDATES, str(tmp_path / "user")).scores(*inputs)
    assert np.array_equal(timed, reference.scores(*inputs, user)) and not np.array_equal(timed, reference.scores(*inputs))


def test_a_vector_with_exchanged_entries_turns_the_gate_red(project, command, personal: Path, tmp_path: Path) -> None:
    master = MasterWeights.load(project / "m.chrm")
    strategy = decode((project / "u5.chrd").read_bytes(), fingerprint=master.fingerprint, channels=master.channel_table.channels)
    with bundle.open(personal / "shop.chord") as opened:
        vectors = {name: opened.user_vector(name) for name in ("u5", "u6")}
    made = [artifact for artifact in read_folder(personal / "artifacts")[1] if artifact.precision != "fp32"]
    sources = Sources(master, None, {"u5": strategy}, vectors)
    contents = assemble("wrong", sources, Dataset.load(project / "shop.safetensors"), made, histories=40, vectors=12)
    assert all(artifact.parity is not None and artifact.parity.passed for artifact in contents.artifacts)
    users = contents.vectors.users
    assert users is not None
    # The phone that reads two of the numbers in the wrong order: it checks itself, and sees it.
    wrong = dataclasses.replace(contents.vectors, users=users[:, [1, 0, *range(2, master.dim)]])
    bundle.write(tmp_path / "wrong.chord", dataclasses.replace(contents, vectors=wrong))
    outcome = command("bundle", "verify", tmp_path / "wrong.chord", "--run")
    assert outcome.status == 1 and "does not agree with the reference" in outcome.err


def test_what_does_not_fit_is_refused_with_one_sentence(project, command, personal: Path, tmp_path: Path) -> None:
    data = (personal / "u5.chru").read_bytes()
    (tmp_path / "flipped.chru").write_bytes(data[:30] + bytes([data[30] ^ 1]) + data[31:])
    foreign = quantize_user_vector(np.ones(16), bytes(8))
    (tmp_path / "foreign.chru").write_bytes(encode_user_vector(foreign))
    (tmp_path / "int8.chru").write_bytes(data)
    export = ("export", "--master", project / "m.chrm", "--precision", "int8", "--candidates", CANDIDATES, "--out", tmp_path / "a")
    make = ("bundle", "make", *made_from(project), *data_of(project), "--out", tmp_path / "x.chord", "--artifacts")
    for arguments, words in (
        ((*export, "--target", "litert", "--user-vector", tmp_path / "flipped.chru"), ["flipped.chru", "CRC", "fetch it again"]),
        ((*export, "--target", "litert", "--user-vector", tmp_path / "foreign.chru"), ["foreign.chru", "fingerprint", "make it again"]),
        ((*export, "--target", "litert", "--user-vector", tmp_path / "absent.chru"), ["absent.chru", "no such"]),
        ((*export, "--target", "litert", "--user-vector", project / "u5.chrd"), ["u5.chrd", "CHRU", "give another file"]),
        ((*export, "--target", "litert", "--user-vector", tmp_path / "int8.chru"), ["user vector name 'int8'", "none of fp32"]),
        ((*make, personal / "artifacts"), ["take a user vector", "--user-vector"]),
        ((*make, project / "artifacts", *vectors_in(personal)), ["take no user vector", "leave it out"]),
        ((*make, personal / "artifacts", "--user-vector", tmp_path / "foreign.chru"), ["foreign.chru", "fingerprint"]),
    ):
        before = sorted(tmp_path.iterdir())
        outcome = command(*arguments)
        assert outcome.status == 2 and not outcome.out, outcome
        assert outcome.err.startswith("chordkit: ") and outcome.err.count("\n") == 1, outcome.err
        assert all(word in outcome.err for word in words), outcome.err
        assert sorted(tmp_path.iterdir()) == before
