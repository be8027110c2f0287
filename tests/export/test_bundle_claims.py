"""What a manifest claims is held against what is there, as far as it can be without running anything."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chordkit.errors import BundleError, CheckFailed
from chordkit.export import bundle
from chordkit.export.targets import find_target
from chordkit.strategy import Strategy, to_wire

pytestmark = pytest.mark.long

Verify = Callable[[bytes], bundle.VerificationReport]


@pytest.fixture
def verify(toy, tmp_path: Path) -> Verify:
    """``bundle verify`` of bytes, with the toy's key."""

    def run(data: bytes) -> bundle.VerificationReport:
        (tmp_path / "x.chord").write_bytes(data)
        return bundle.verify(tmp_path / "x.chord", toy.PUBLIC)

    return run


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("parity.passed", False),
        ("parity.reasons", ["relative_rms_error 1 is above 0.1"]),
        ("parity.non_finite", 1),
        ("parity.n", 0),
        ("parity.score_spread", 0.0),
        ("parity.relative_rms_error", 1.0),
        ("parity.max_relative_error", 1.0),
        ("parity.kendall_tau", 0.5),
        ("parity.top10_overlap", 0.5),
        ("parity.ndcg_difference", -0.5),
        ("parity", None),
    ],
)
def test_parity_that_did_not_pass_by_its_own_figures_is_not_passed(toy, signed: Path, verify: Verify, path: str, value: object) -> None:
    report = verify(toy.with_manifest(toy.members(signed), toy.setting(f"artifacts.0.{path}", value)))
    assert not report.passed and report.unproven == ("litert-fp32",) and "parity" not in report.checks
    with pytest.raises(CheckFailed, match="litert-fp32 did not pass the parity gate"):
        report.require()


def test_average_bits_are_counted_again(toy, signed: Path, verify: Verify) -> None:
    with pytest.raises(BundleError, match=r"strategy user-1 has 4\.0000 average bits, and manifest\.json says 3\.9000"):
        verify(toy.with_manifest(toy.members(signed), toy.setting("strategies.0.average_bits", 3.9)))


def test_strategies_that_changed_places_are_seen(toy, signed: Path, verify: Verify) -> None:
    members = toy.members(signed)
    one, two = "strategies/user-1.chrd", "strategies/user-2.chrd"
    exchanged = {**members, one: members[two], two: members[one]}
    with pytest.raises(BundleError, match="strategy user-1 has"):
        verify(toy.rehashed(exchanged))

    def renamed(document: dict[str, Any]) -> None:
        document["strategies"][0]["member"], document["strategies"][1]["member"] = two, one

    with pytest.raises(BundleError, match=r"user-1 lies in strategies/user-2\.chrd, and its member is strategies/user-1\.chrd"):
        verify(toy.with_manifest(members, renamed))


@pytest.mark.parametrize("other", ["artifacts/other.tflite", "artifacts/litert-fp32.onnx", "master.chrm"])
def test_an_artifact_lies_where_its_name_and_its_target_say(toy, signed: Path, verify: Verify, other: str) -> None:
    place = "artifacts/litert-fp32.tflite"
    members = {(other if name == place else name): data for name, data in toy.members(signed).items() if name != other}

    def moved(document: dict[str, Any]) -> None:
        document["artifacts"][0]["member"] = other
        names = [entry["name"] for entry in document["members"]]
        kept = [entry for entry in document["members"] if entry["name"] != place or other not in names]
        document["members"] = [entry | {"name": other} if entry["name"] == place else entry for entry in kept]

    if other == "master.chrm":  # which stays where it is; the file is gone
        members = {name: data for name, data in toy.members(signed).items() if name != place}
    with pytest.raises(BundleError, match=f"(artifacts: |artifact )litert-fp32:? (it )?lies in {other}"):
        verify(toy.with_manifest(members, moved))


NO_ARTIFACT = [
    b"",
    b"x" * 100,
    b"TFL3" * 20,
    b"\xff\xff\xff\0TFL3" + bytes(72),
    b"\x0c\0\0\0TFL2" + bytes(72),
    b"\x0c\0\0\0TFL3" + b"\xff" * 72,
]


@pytest.mark.parametrize("data", NO_ARTIFACT, ids=range(len(NO_ARTIFACT)))
def test_a_file_that_is_no_artifact_is_refused_without_its_runtime(toy, signed: Path, verify: Verify, data: bytes) -> None:
    with pytest.raises(BundleError, match="artifact litert-fp32: the file"):
        verify(toy.rehashed({**toy.members(signed), "artifacts/litert-fp32.tflite": data}))


def test_files_of_one_target_are_none_of_another(project) -> None:
    """Real files, each held against every target that has files; and none of them when it is cut short."""
    files = {path: path.read_bytes() for path in (project / "artifacts").iterdir() if path.suffix in (".tflite", ".onnx")}
    assert {path.suffix for path in files} == {".tflite", ".onnx"}
    for path, data in files.items():
        for name in ("litert", "onnx", "executorch", "executorch-chord", "executorch-chord-linear"):
            target = find_target(name)
            problem = target.problem_with_file(memoryview(data))
            assert (problem is None) is (path.suffix == target.capability.suffix), (path, name, problem)
    whole = next(data for path, data in files.items() if path.suffix == ".onnx")
    onnx = find_target("onnx")
    for wrong in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\0", whole + whole, b"\x08\x0a" * 20_000, b"\x80" * 100):
        assert onnx.problem_with_file(memoryview(wrong)) is not None


def test_programs_are_told_apart_by_the_operators_they_call() -> None:
    head = b"\x0c\0\0\0ET12\x04\0\x04\0\x04\0\0\0" + bytes(60)
    programs = {
        "executorch": b"aten::add",
        "executorch-chord": b"chord::rerank\0chord::rerank_for\0",
        "executorch-chord-linear": b"chord::linear\0",
    }
    for name, operators in programs.items():
        for other in programs:
            assert (find_target(other).problem_with_file(memoryview(head + operators)) is None) is (name == other)


def test_a_strategy_with_widths_that_the_target_cannot_store_is_refused(toy, signed: Path, verify: Verify, monkeypatch: Any) -> None:
    members = toy.members(signed)
    target = find_target("native")
    assert verify(toy.with_manifest(members, lambda document: None)).passed
    off = Strategy(toy.contents().strategies["user-2"].widths, toy.master().fingerprint)
    wide = {**members, "strategies/user-1.chrd": to_wire(off)}
    bits = json.loads(members["manifest.json"])["strategies"][1]["average_bits"]
    assert verify(toy.rehashed(wide, toy.setting("strategies.0.average_bits", bits))).passed
    # No target of today refuses a width that a strategy can have; one that does is this one with less to its name.
    monkeypatch.setattr(type(target), "capability", dataclasses.replace(target.capability, stored_bits={2: 2, 4: 4, 8: 8}))
    with pytest.raises(BundleError, match="artifact native-user-1: native: channels of 0 bits cannot be stored"):
        verify(toy.rehashed(wide, toy.setting("strategies.0.average_bits", bits)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "int8"}, "do not belong together"),
        ({"strategy": None, "reference": "fp32"}, "do not belong together"),
        ({"reference": "fp32"}, "do not belong together"),
        ({"activations": "fp32"}, "fp32 activations are not supported"),
        ({"requires": {}}, "it requires chordkit"),
    ],
)
def test_an_artifact_is_what_its_target_can_run(toy, signed: Path, verify: Verify, changes: dict[str, Any], message: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["artifacts"][1].update(changes)

    with pytest.raises(BundleError, match=f"artifact native-user-1: .*{message}"):
        verify(toy.with_manifest(toy.members(signed), change))


def test_an_artifact_of_an_unknown_target_is_named_and_not_judged(toy, signed: Path, verify: Verify) -> None:
    report = verify(toy.with_manifest(toy.members(signed), toy.setting("artifacts.0.target", "of-tomorrow")))
    assert report.unchecked == ("litert-fp32",) and report.passed


def test_running_holds_the_reference_itself_against_the_master(toy, project, tmp_path: Path) -> None:
    """An artifact and the scores it is held against, both of another model: they agree with each other."""
    members = toy.members(project / "shop.chord")
    with bundle.open(project / "shop.chord") as opened:
        vectors = opened.vectors()
    other = dataclasses.replace(vectors, scores={**vectors.scores, "u5": vectors.scores["int8"]})

    class Given:
        """Scores that were made elsewhere, in the order of the test vectors."""

        def __init__(self, scores: Any) -> None:
            self.rows = iter(scores)

        def scores(self, history: Any, candidates: Any, user: Any = None) -> Any:
            return next(self.rows)

    for given, right in ((vectors, True), (other, False)):
        path = tmp_path / "x.chord"
        path.write_bytes(toy.rehashed({**members, "vectors.safetensors": given.to_bytes()}))
        run = functools.partial(
            bundle.verify, path, runner_factory=lambda *_, given=given: Given(given.scores["u5"]), artifacts=["litert-u5"]
        )
        if right:
            assert run().passed
            continue
        with pytest.raises(CheckFailed, match=r"x\.chord: u5 of the test vectors: does not agree with the reference"):
            run()


def test_item_ids_are_different_and_padding_has_none(toy, signed: Path, verify: Verify, tmp_path: Path) -> None:
    ids = toy.contents().item_ids
    for wrong, message in (
        ([*ids[:-1], ids[1]], "the item id 'ïtem 1' comes more than once"),
        (["x", *ids[1:]], "its first entry, which is padding's, is not empty"),
    ):
        with pytest.raises(BundleError, match=f"items.json cannot be used: {message}"):
            verify(toy.rehashed({**toy.members(signed), "items.json": json.dumps(wrong, ensure_ascii=False).encode()}))
        with pytest.raises(BundleError, match=f"the item ids cannot be used: {message}"):
            bundle.write(tmp_path / "y.chord", toy.contents(item_ids=wrong))
