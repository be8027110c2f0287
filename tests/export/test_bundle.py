"""The bundle: what goes in comes out, in one spelling, and nothing else is ever taken for it."""

import dataclasses
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import chordkit
from chordkit.errors import BundleError, CheckFailed, InputError
from chordkit.export import bundle, bundle_zip, manifest, test_vectors
from chordkit.export.bundle import ArtifactContents, BundleContents, DatasetSection, Provenance
from chordkit.export.parity import FP32_TOLERANCE, compare
from chordkit.export.test_vectors import VectorSet
from chordkit.quantization import MasterLayer, MasterWeights, quantize_rows, quantize_table
from chordkit.strategy import Strategy, uniform

ITEMS, LENGTH, CANDIDATES = 9, 4, 5
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()


def _master(seed: int = 0) -> MasterWeights:
    generator = np.random.default_rng(seed)
    layers = {
        f"blocks.0.{name}": MasterLayer(
            quantize_rows(generator.standard_normal((4, 4)).astype(np.float32), "mse"), generator.standard_normal(4).astype(np.float32)
        )
        for name in ("query", "ffn1")
    }
    table = quantize_table(generator.standard_normal((ITEMS + 1, 4)).astype(np.float32))
    config = {"architecture": "sasrec", "items": ITEMS, "max_length": LENGTH, "norm_eps": 1e-12, "heights": (2, 3)}
    return MasterWeights(config, layers, {"item_embedding": table}, {"final_norm.weight": np.ones(4, np.float32)})  # type: ignore[arg-type]


def _scores(histories: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """A stand-in for a model: all that matters here is that it can be computed again."""
    return np.sin(candidates * 1.7 + histories.sum(1, keepdims=True)).astype(np.float32)


def _contents(**changes: Any) -> BundleContents:
    master = _master()
    vectors = test_vectors.draw(
        np.array([[0, 0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 1]], np.int32), np.array([3, 7, 2]), ITEMS, count=3, candidates=CANDIDATES
    ).with_scores({"fp32": _scores, "int8": lambda h, c: 2 * _scores(h, c), "user-1": lambda h, c: 3 * _scores(h, c)})
    one = uniform(master.channel_table, 4, master.fingerprint)
    off = Strategy(np.array([0, 2, 4, 8, 0, 2, 4, 8], np.uint8), master.fingerprint)
    parity = compare(vectors.scores["fp32"], vectors.scores["fp32"], FP32_TOLERANCE)
    contents = BundleContents(
        name="toy",
        master=master,
        dataset=DatasetSection(name="toy", fingerprint="0" * 64, users=3, items=ITEMS, interactions=20),
        item_ids=["", *(f"ïtem {index}" for index in range(1, ITEMS + 1))],
        artifacts=[
            ArtifactContents(
                "litert-fp32", "litert", "fp32", CANDIDATES, b"TFL3" * 20, "fp32", requires={"ai-edge-litert": "2.3.0"}, parity=parity
            ),
            ArtifactContents("native-user-1", "native", "strategy", CANDIDATES, None, "user-1", strategy="user-1", activations="int8"),
        ],
        strategies={"user-1": one, "user-2": off},
        vectors=vectors,
        provenance=Provenance(
            seed=7, commit="abc", versions={"torch": "2.13.0"}, options={"lr": 0.001, "cut": None}, metrics={"ndcg10": 0.0687}
        ),
    )
    return dataclasses.replace(contents, **changes)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "toy.chord"
    bundle.write(path, _contents(), KEY)
    return path


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "toy.chord"
    bundle.write(path, _contents())
    return path


def _read(data: bytes, key: object = PUBLIC) -> bundle.Bundle:
    return bundle.read(memoryview(data), "x.chord", key)  # type: ignore[arg-type]


# --- what goes in comes out


def test_everything_comes_out_as_it_went_in(signed: Path) -> None:
    contents = _contents()
    with bundle.open(signed, PUBLIC) as opened:
        assert opened.signature_checked
        assert opened.master().to_bytes() == contents.master.to_bytes()
        assert opened.artifact("litert-fp32") == b"TFL3" * 20
        assert opened.artifact("native-user-1") == contents.master.to_bytes()
        assert {name: opened.strategy(name) for name in ("user-1", "user-2")} == contents.strategies
        assert opened.item_ids() == contents.item_ids
        vectors = opened.vectors()
        for name in ("histories", "candidates", "targets"):
            np.testing.assert_array_equal(getattr(vectors, name), getattr(contents.vectors, name))
        for name, scores in contents.vectors.scores.items():
            np.testing.assert_array_equal(vectors.scores[name], scores)
        assert opened.manifest.provenance == contents.provenance
        assert opened.manifest.dataset == contents.dataset
        assert opened.manifest.artifacts[0].parity == contents.artifacts[0].parity
        assert opened.manifest.artifacts[1].requires == {"chordkit": chordkit.__version__}
        assert opened.manifest.strategies[0].average_bits == 4.0
        assert opened.manifest.backbone.config["heights"] == [2, 3]


def test_the_same_contents_and_key_give_the_same_bytes(signed: Path, tmp_path: Path) -> None:
    bundle.write(tmp_path / "again.chord", _contents(), KEY)
    assert (tmp_path / "again.chord").read_bytes() == signed.read_bytes()


def test_any_zip_tool_lists_it_and_members_are_views_aligned_for_mapping(signed: Path) -> None:
    with zipfile.ZipFile(signed) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert names[:2] == ["manifest.json", "manifest.sig"]
    with bundle.open(signed) as opened:
        assert names[2:] == [member.name for member in opened.manifest.members]
        for name in names[2:]:
            view = np.frombuffer(opened.member(name), np.uint8)
            assert view.ctypes.data % 64 == 0
            assert not view.flags.writeable


def test_a_view_outlives_the_bundle(signed: Path) -> None:
    with bundle.open(signed) as opened:
        view = opened.artifact("litert-fp32")
        codes = opened.master().layers["blocks.0.query"].rows.codes
    assert bytes(view[:4]) == b"TFL3"
    np.testing.assert_array_equal(codes, _master().layers["blocks.0.query"].rows.codes)


def test_the_manifest_is_what_the_schema_says(signed: Path) -> None:
    schema = json.loads(Path(manifest.__file__).with_name("manifest.schema.json").read_text())
    assert schema == manifest.json_schema(), "run: python -m chordkit.export.manifest > export/manifest.schema.json"
    with zipfile.ZipFile(signed) as archive:
        jsonschema.validate(json.loads(archive.read("manifest.json")), schema)


def test_inspect_tells_what_is_inside_without_a_key(signed: Path, unsigned: Path) -> None:
    summary = bundle.inspect(signed)
    assert (summary.name, summary.format_version, summary.bytes) == ("toy", 1, signed.stat().st_size)
    assert summary.key == bundle.key_id(PUBLIC)
    assert [member.name for member in summary.members][:2] == ["master.chrm", "strategies/user-1.chrd"]
    assert sum(member.bytes for member in summary.members) + summary.overhead_bytes == summary.bytes
    assert bundle.inspect(unsigned).key is None
    json.loads(summary.model_dump_json())


# --- nothing else is taken for it


def _refused(data: bytes, key: object) -> str:
    with pytest.raises(BundleError) as caught:
        _read(data, key)
    return str(caught.value)


@pytest.mark.parametrize("key", [PUBLIC, None], ids=["with the key", "without a key"])
def test_a_change_of_any_byte_is_refused(signed: Path, key: object) -> None:
    data = signed.read_bytes()
    generator = np.random.default_rng(0)
    changed = bytearray(data)
    for position in range(len(data)):
        changed[position] ^= int(generator.integers(1, 256))
        with pytest.raises(BundleError):
            _read(bytes(changed), key)
        changed[position] = data[position]
    _read(bytes(changed), key)  # and the loop changed what it meant to change


def test_a_change_of_any_bit_of_the_signature_is_refused_even_with_a_crc_to_match(signed: Path) -> None:
    members = _members(signed)
    for bit in range(64 * 8):
        signature = bytearray(members["manifest.sig"])
        signature[bit // 8] ^= 1 << bit % 8
        assert "altered" in _refused(_rebuilt({**members, "manifest.sig": bytes(signature)}), PUBLIC)


def test_a_file_that_stops_early_or_goes_on_is_refused(signed: Path, tmp_path: Path) -> None:
    data = signed.read_bytes()
    for length in {*range(0, 200), *range(0, len(data), 37), *range(len(data) - 200, len(data))}:
        _refused(data[:length], PUBLIC)
    for changed in (data + b"\0", b"\0" + data, data + data):
        _refused(changed, PUBLIC)
    (tmp_path / "cut.chord").write_bytes(data[:-1])
    with pytest.raises(BundleError, match=r"cut\.chord: the bundle is damaged"):
        bundle.open(tmp_path / "cut.chord")


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _rebuilt(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    bundle_zip.write(stream, list(members.items()))
    return stream.getvalue()


def _with_manifest(members: dict[str, bytes], change: Callable[[dict[str, Any]], None], sign: bool = True) -> bytes:
    """The bundle with a changed manifest, in its spelling; ``sign``: by the owner of the key, who made the mistake."""
    document = json.loads(members["manifest.json"])
    change(document)
    data = (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    return _rebuilt({**members, "manifest.json": data, **({"manifest.sig": KEY.sign(data)} if sign else {})})


def test_fuzzed_members_and_manifests_only_ever_raise_bundle_errors(signed: Path) -> None:
    """Damage that has a container, sizes, hashes and a signature to match: the parsers behind them must hold too."""
    members = _members(signed)
    document = json.loads(members["manifest.json"])
    names = [member["name"] for member in document["members"]]
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(2000):
        changed = dict(members)
        if generator.random() < 0.6:
            name = names[generator.integers(len(names))]
            changed[name] = _damaged(members[name], generator)
            for entry in document["members"]:
                entry.update(bytes=len(changed[entry["name"]]), sha256=hashlib.sha256(changed[entry["name"]]).hexdigest())
            document["backbone"]["fingerprint"] = document["members"][0]["sha256"][:16]
            raw = (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
        else:
            raw = _damaged(members["manifest.json"], generator)
        changed.update({"manifest.json": raw, "manifest.sig": KEY.sign(raw)})
        try:
            opened = _read(_rebuilt(changed))
        except BundleError:
            refused += 1
            continue
        for use in (opened.item_ids, opened.vectors, opened.master, lambda opened=opened: opened.strategy("user-1")):
            try:
                use()
            except BundleError:
                refused += 1
    assert refused > 1500  # the rest hit bytes that no parser can judge: codes, scores, an artifact


def _damaged(data: bytes, generator: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        position = int(generator.integers(len(changed)))
        kind = generator.random()
        if kind < 0.7:
            changed[position] = int(generator.choice([0, 1, 0x22, 0x2D, 0x39, 0x5B, 0x7B, 0x80, 0xFF, int(generator.integers(256))]))
        elif kind < 0.85:
            del changed[position : position + int(generator.integers(1, 9))]
        else:
            changed[position:position] = generator.integers(0, 256, int(generator.integers(1, 9)), np.uint8).tobytes()
        if not changed:
            break
    return bytes(changed)


def test_random_positions_of_a_large_bundle(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    artifact = ArtifactContents(
        "onnx-fp32", "onnx", "fp32", CANDIDATES, generator.bytes(300_000), "fp32", requires={"onnxruntime": "1.31.1"}
    )
    bundle.write(tmp_path / "large.chord", _contents(artifacts=[artifact]), KEY)
    changed = bytearray((tmp_path / "large.chord").read_bytes())
    for position in generator.integers(0, len(changed), 300):
        before = changed[position]
        changed[position] ^= int(generator.integers(1, 256))
        with pytest.raises(BundleError):
            _read(bytes(changed))
        changed[position] = before


# --- each refusal is one clear sentence


def test_a_wrong_key_and_a_missing_signature_are_told_apart(signed: Path, unsigned: Path) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    assert f"signed with key {bundle.key_id(PUBLIC)}, not with the key {bundle.key_id(other)}" in _refused(signed.read_bytes(), other)
    assert "is not signed, and a key was given" in _refused(unsigned.read_bytes(), PUBLIC)
    with bundle.open(unsigned) as opened:
        assert not opened.signature_checked


def test_a_signature_cannot_be_taken_off_or_put_on(signed: Path, unsigned: Path) -> None:
    without = {name: data for name, data in _members(signed).items() if name != "manifest.sig"}
    assert "is not signed" in _refused(_rebuilt(without), PUBLIC)
    assert "signature that manifest.json announces is missing" in _refused(_rebuilt(without), None)
    first, *rest = _members(unsigned).items()
    added = dict([first, ("manifest.sig", KEY.sign(first[1])), *rest])
    assert "announces" in _refused(_rebuilt(added), PUBLIC)


def test_a_newer_format_is_refused_whatever_else_it_holds(signed: Path) -> None:
    members = _members(signed)

    def newer(document: dict[str, Any]) -> None:
        document.update(format_version=2, something_new=[1])
        del document["dataset"]

    for key in (PUBLIC, None):
        assert "format version 2 and this chordkit reads up to 1; update chordkit" in _refused(_with_manifest(members, newer), key)


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        node: Any = document
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node[parent]
        node[int(last) if isinstance(node, list) else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format_version", 0), "format_version"),
        (_set("format_version", True), "format_version"),
        (_set("surprise", 1), "surprise: Extra inputs are not permitted"),
        (_set("provenance.surprise", 1), "provenance.surprise"),
        (_set("dataset.items", "9"), "dataset.items"),
        (_set("backbone.fingerprint", "0" * 16), "is not the backbone 0000000000000000"),
        (_set("members.0.bytes", 1), "bytes long, manifest.json says 1;"),
        (_set("members.0.sha256", "f" * 64), "the SHA-256 of member 'master.chrm'"),
        (_set("members.1.sha256", "f" * 64), "the SHA-256 of member 'strategies/user-1.chrd'"),
        (_set("members.1.name", "strategies/other.chrd"), "'strategies/other.chrd' is not listed"),
        (_set("members.1.name", "../evil"), "member name '../evil'"),
        (_set("members.1.name", "master.chrm"), "a name comes twice"),
        (_set("members.1.name", "manifest.json"), "cannot list themselves"),
        (_set("artifacts.0.member", "items.json"), "is listed but used by nothing"),
        (_set("artifacts.0.name", "native-user-1"), "artifacts: a name comes twice"),
        (_set("artifacts.0.reference", "int4"), "refers to test vectors 'int4'"),
        (_set("artifacts.0.candidates", 6), "scores 6 candidates, the test vectors have 5"),
        (_set("artifacts.1.strategy", "user-9"), "was made with strategy 'user-9'"),
        (_set("signature", None), "announces"),
        (_set("signature.algorithm", "none"), "signature.algorithm"),
    ],
)
def test_a_manifest_that_is_signed_but_wrong_is_refused_with_the_field(
    signed: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    refusal = _refused(_with_manifest(_members(signed), change), PUBLIC)
    assert message in refusal
    assert refusal.startswith("x.chord: ")
    assert "\n" not in refusal


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": 1' + b"0" * 5000 + b"}",
        b'{"name": "\\ud800"}',
        b'{"format_version": NaN}',
    ],
)
def test_a_manifest_that_is_no_manifest_is_refused(signed: Path, raw: bytes) -> None:
    refusal = _refused(_rebuilt({**_members(signed), "manifest.json": raw, "manifest.sig": KEY.sign(raw)}), PUBLIC)
    assert "manifest.json" in refusal or "format version" in refusal


def test_a_manifest_in_another_spelling_is_refused(signed: Path) -> None:
    members = _members(signed)
    document = json.loads(members["manifest.json"])
    for raw in (json.dumps(document).encode(), members["manifest.json"] + b" ", members["manifest.json"].replace(b'"name"', b'"name" ', 1)):
        assert "not written the way" in _refused(_rebuilt({**members, "manifest.json": raw, "manifest.sig": KEY.sign(raw)}), PUBLIC)


def test_members_that_are_missing_added_or_moved_are_refused(signed: Path) -> None:
    members = _members(signed)
    without = {name: data for name, data in members.items() if name != "items.json"}
    assert "'items.json' is not as manifest.json lists it" in _refused(_rebuilt(without), PUBLIC)
    assert "'extra' is not as manifest.json lists it" in _refused(_rebuilt({**members, "extra": b"x"}), PUBLIC)
    assert "the order of the members" in _refused(
        _rebuilt(dict([*list(members.items())[:2], *reversed(list(members.items())[2:])])), PUBLIC
    )
    assert "its first member is not manifest.json" in _refused(_rebuilt(dict(reversed(members.items()))), PUBLIC)


def test_files_that_are_no_bundle_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"item,user\n1,2\n" * 10)
    for name, message in (
        ("gone", "no such bundle file"),
        ("empty", "is empty"),
        ("text", "not a chordkit bundle"),
        (".", "cannot be read"),
    ):
        with pytest.raises(BundleError, match=message):
            bundle.open(tmp_path / name)
    with pytest.raises(InputError, match="no such public key"):
        bundle.open(tmp_path / "text", tmp_path / "gone.pem")


def test_asking_for_what_is_not_there_names_what_is(signed: Path) -> None:
    with bundle.open(signed) as opened:
        with pytest.raises(BundleError, match="no artifact 'x'; it has: litert-fp32, native-user-1"):
            opened.artifact("x")
        with pytest.raises(BundleError, match="no strategy 'x'; it has: user-1, user-2"):
            opened.strategy("x")
        with pytest.raises(BundleError, match="no member 'x'"):
            opened.member("x")


def test_skipping_the_hashes_still_checks_container_manifest_and_signature(signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    view = memoryview(bytes(data))
    artifact = next(x for x in bundle_zip.read(view, "x") if x.entry.name.startswith("artifacts/"))
    data[artifact.offset] ^= 1
    bundle.read(memoryview(bytes(data)), "x", PUBLIC, verify=False)
    with pytest.raises(BundleError, match="CRC"):
        bundle.read(memoryview(bytes(data)), "x", PUBLIC, verify=True)
    data[data.index(b'"toy"') + 1] ^= 1
    with pytest.raises(BundleError):
        bundle.read(memoryview(bytes(data)), "x", verify=False)


# --- writing


def test_contents_that_do_not_fit_together_are_not_written(tmp_path: Path) -> None:
    good = _contents()
    bad_vectors = dataclasses.replace(good.vectors, candidates=good.vectors.candidates + ITEMS)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"item_ids": [""]}, "0 item ids were given"),
        ({"strategies": {"../up": good.strategies["user-1"]}}, "the strategy name '../up' is not allowed"),
        ({"strategies": {"user-1": uniform(_master(1).channel_table, 4, _master(1).fingerprint)}}, "was made for another backbone"),
        ({"vectors": bad_vectors}, "outside the catalogue 1..9"),
        ({"vectors": VectorSet(good.vectors.histories, good.vectors.candidates, good.vectors.targets)}, "refers to test vectors 'fp32'"),
        ({"artifacts": [good.artifacts[0], good.artifacts[0]]}, "two artifacts are called 'litert-fp32'"),
        ({"artifacts": [dataclasses.replace(good.artifacts[0], data=None)]}, "has no bytes, and only a native one"),
        ({"artifacts": [dataclasses.replace(good.artifacts[1], strategy="user-3")]}, "was made with strategy 'user-3'"),
        ({"name": "a/b"}, "contents do not fit together"),
    ]
    for changes, message in cases:
        with pytest.raises(BundleError, match=message):
            bundle.write(tmp_path / "x.chord", _contents(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_writing_leaves_the_old_bundle_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "toy.chord"
    bundle.write(path, _contents(), KEY)
    old = path.read_bytes()
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_bundle as t; from chordkit.export import bundle\n"
        "c = t._contents(name='new')\nprint('ready', flush=True)\n"
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
        with bundle.open(path, PUBLIC) as opened:
            assert opened.manifest.name == "new" or path.read_bytes() == old


# --- verification


class _Runner:
    def __init__(self, factor: float, noise: float = 0.0) -> None:
        self.factor, self.noise = factor, noise

    def scores(self, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        return self.factor * _scores(history[None], candidates[None])[0] + self.noise * np.cos(np.arange(len(candidates)))


def test_verify_runs_the_artifacts_over_the_vectors_on_request(signed: Path) -> None:
    report = bundle.verify(signed, PUBLIC)
    assert report.passed and report.signature_checked and report.vectors == ()
    assert report.checks == ("container", "manifest", "members", "signature", "master", "strategies", "items", "vectors")
    asked: list[str] = []

    def factory(opened: bundle.Bundle, entry: Any) -> _Runner:
        asked.append(entry.name)
        return _Runner({"fp32": 1.0, "user-1": 3.0}[entry.reference])

    report = bundle.verify(signed, PUBLIC, runner_factory=factory)
    assert asked == ["litert-fp32", "native-user-1"]
    assert report.require() is report and report.passed
    assert [result.report.n for result in report.vectors] == [3, 3]
    json.loads(report.model_dump_json())
    bad = bundle.verify(signed, PUBLIC, runner_factory=lambda opened, entry: _Runner(1.0, 0.1), artifacts=["litert-fp32"])
    assert not bad.passed
    with pytest.raises(CheckFailed, match=r"toy\.chord: artifact litert-fp32: does not agree with the reference"):
        bad.require()
    with pytest.raises(BundleError, match="no artifact 'x'"):
        bundle.verify(signed, runner_factory=factory, artifacts=["x"])


def test_verify_finds_a_manifest_that_describes_another_model(signed: Path, tmp_path: Path) -> None:
    for change, message in (
        (_set("backbone.channels.0.in_features", 5), "channel table"),
        (_set("backbone.config.max_length", 5), "configuration"),
        (_set("dataset.items", ITEMS + 1), "11 item ids"),
        (_set("vectors.count", 4), "test vectors that the manifest announces"),
    ):
        (tmp_path / "x.chord").write_bytes(_with_manifest(_members(signed), change))
        with pytest.raises(BundleError, match=message):
            bundle.verify(tmp_path / "x.chord", PUBLIC)
