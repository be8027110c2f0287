"""What other languages implement from these files must not change under them."""

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chordkit.coda.adapter import Adapter, decode_adapter, encode_adapter
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps, train
from chordkit.coda.samples import decode_samples, encode_samples
from chordkit.errors import (
    AdapterError,
    BundleError,
    EnvelopeError,
    MasterError,
    PatchError,
    SampleError,
    StrategyError,
    UserVectorError,
)
from chordkit.export.bundle import apply_difference, read_difference
from chordkit.kernels import Engine, available
from chordkit.patching import MasterFile
from chordkit.quantization import MasterWeights, derive_codes, engine_refusal, pack_codes, read_personal, unpack_codes, write_personal
from chordkit.signing import is_valid
from chordkit.strategy import decode, decode_user_vector, encode, encode_user_vector, open_envelope
from tests.golden.regenerate import VECTORS, as_json

FOLDER = Path(__file__).parent


def _golden(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_have_not_changed(name: str) -> None:
    assert as_json(VECTORS[name]()) == _golden(name)


def test_every_vector_file_is_known() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(VECTORS)


def test_derivation_reads_back_from_the_file_alone() -> None:
    golden = _golden("derivation")
    codes = np.frombuffer(bytes.fromhex(golden["codes"]), np.int8)
    for case in golden["cases"]:
        low, high = {2: (-2, 1), 4: (-7, 7)}[case["width"]]
        # The formula in plain Python integers, whose >> rounds to minus infinity as C's arithmetic shift does.
        expected = [min(max((int(code) * case["ratio"] + (1 << 14)) >> 15, low), high) for code in codes]
        derived = np.frombuffer(bytes.fromhex(case["derived"]), np.int8)
        assert derived.tolist() == expected
        ratios = np.full((2, 1), case["ratio"], np.int16)
        assert derive_codes(codes[None], ratios, case["width"])[0].tolist() == expected
        assert pack_codes(derived[None], case["width"]).tobytes().hex() == case["packed"]


def test_packing_reads_back_from_the_file_alone() -> None:
    for case in _golden("packing")["cases"]:
        codes = np.array(case["codes"], np.int8)
        packed = np.frombuffer(bytes.fromhex(case["packed"]), np.uint8).reshape(len(codes), -1)
        assert np.array_equal(unpack_codes(packed, case["width"], codes.shape[1]), codes)


def test_strategies_read_back_from_the_file_alone() -> None:
    golden = _golden("strategy")
    fingerprint = bytes.fromhex(golden["fingerprint"])
    for case in golden["accepted"]:
        strategy = decode(bytes.fromhex(case["bytes"]), fingerprint=fingerprint, channels=len(case["widths"]))
        assert strategy.widths.tolist() == case["widths"]
        assert encode(strategy, allow_off=case["allow_off"]).hex() == case["bytes"]


@pytest.mark.parametrize("case", _golden("strategy")["refused"]["cases"], ids=lambda case: case["check"])
def test_refused_strategies_are_refused_by_the_check_named(case: dict) -> None:
    golden = _golden("strategy")
    with pytest.raises(StrategyError, match=f"^strategy: {case['check']}: "):
        decode(bytes.fromhex(case["bytes"]), fingerprint=bytes.fromhex(golden["fingerprint"]), channels=golden["refused"]["channels"])


def test_user_vectors_read_back_from_the_file_alone() -> None:
    golden = _golden("user_vector")
    fingerprint = bytes.fromhex(golden["fingerprint"])
    for case in golden["accepted"]:
        vector = decode_user_vector(bytes.fromhex(case["bytes"]), fingerprint=fingerprint, dim=len(case["codes"]))
        assert (vector.codes.tolist(), vector.scale) == (case["codes"], case["scale"])
        assert encode_user_vector(vector).hex() == case["bytes"]


@pytest.mark.parametrize("case", _golden("user_vector")["refused"]["cases"], ids=lambda case: case["case"])
def test_refused_user_vectors_are_refused_by_the_check_named(case: dict) -> None:
    golden = _golden("user_vector")
    with pytest.raises(UserVectorError, match=f"^user vector: {case['check']}: "):
        decode_user_vector(bytes.fromhex(case["bytes"]), fingerprint=bytes.fromhex(golden["fingerprint"]), dim=golden["refused"]["dim"])


def test_samples_read_back_from_the_file_alone() -> None:
    golden = _golden("coda_samples")
    fingerprint = bytes.fromhex(golden["fingerprint"])
    for case in golden["accepted"]:
        data = bytes.fromhex(case["bytes"])
        segments = decode_samples(data, fingerprint=fingerprint, items=(1 << 30) - 1)
        rows = zip(segments.histories, segments.targets, strict=True)
        assert [{"items": items.tolist(), "samples": np.flatnonzero(marks).tolist()} for items, marks in rows] == case["segments"]
        # How it is compressed is the library's affair, what is compressed is not.
        assert zlib.decompress(data[24:-4], wbits=-15).hex() == case["payload"]
        assert zlib.decompress(encode_samples(segments, fingerprint)[24:-4], wbits=-15).hex() == case["payload"]


@pytest.mark.parametrize("case", _golden("coda_samples")["refused"]["cases"], ids=lambda case: case["case"])
def test_refused_samples_are_refused_by_the_check_named(case: dict) -> None:
    golden = _golden("coda_samples")
    with pytest.raises(SampleError, match=f"^samples: {case['check']}: "):
        decode_samples(bytes.fromhex(case["bytes"]), fingerprint=bytes.fromhex(golden["fingerprint"]), items=golden["refused"]["items"])


def test_differences_make_what_the_file_alone_says() -> None:
    for case in _golden("difference")["accepted"]:
        data = bytes.fromhex(case["bytes"])
        result = apply_difference(bytes.fromhex(case["base"]) * case["times"], data)
        assert (len(result), hashlib.sha256(result).hexdigest()) == (case["size"], case["sha256"])
        assert case.get("result", result.hex()) == result.hex()
        assert read_difference(data).to_bytes() == data


@pytest.mark.parametrize("case", _golden("difference")["refused"]["cases"], ids=lambda case: case["case"])
def test_refused_differences_are_refused_by_the_check_named(case: dict) -> None:
    refused = _golden("difference")["refused"]
    with pytest.raises(BundleError, match=f"^difference: {case['check']}: "):
        apply_difference(bytes.fromhex(refused["base"]), bytes.fromhex(case["bytes"]), largest=refused["largest"])


def test_master_files_become_what_the_file_alone_says() -> None:
    for case in _golden("patch")["accepted"]:
        everybody = MasterFile(bytes.fromhex(case["bytes"]))
        for made in case["made"]:
            assert everybody.patched(bytes.fromhex(made["bytes"])).hex() == made["result"], (case["case"], made["strategy"])


@pytest.mark.parametrize("case", _golden("patch")["refused"]["files"], ids=lambda case: case["case"])
def test_refused_master_files_are_refused_by_the_check_named(case: dict) -> None:
    with pytest.raises(PatchError, match=f"^patch table: {case['check']}: "):
        MasterFile(bytes.fromhex(case["bytes"]))


@pytest.mark.parametrize("case", _golden("patch")["refused"]["strategies"], ids=lambda case: case["case"])
def test_strategies_that_do_not_fit_a_master_file_are_refused_by_the_check_named(case: dict) -> None:
    everybody = MasterFile(bytes.fromhex(_golden("patch")["accepted"][0]["bytes"]))
    with pytest.raises(StrategyError, match=f"^strategy: {case['check']}: "):
        everybody.patched(bytes.fromhex(case["bytes"]))


@pytest.mark.parametrize("run", range(3))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_training_comes_out_of_the_file_alone(run: int, dtype: type) -> None:
    golden = _golden("coda_training")
    states, table, bias = (np.array(golden[name], dtype) for name in ("states", "table", "bias"))
    targets, seen, biased = (np.array(golden[name], np.int32) for name in ("targets", "seen", "biased"))
    candidates = Candidates(np.array(golden["candidates"]["items"], np.int32), np.array(golden["candidates"]["offsets"]))
    exam, wanted = Exam(Head(table, bias), Lessons(states, targets, seen), candidates), golden["runs"][run]
    for count, values in wanted["after"].items():
        steps = Steps(int(count), wanted["rate"], wanted["method"], decay=wanted["decay"])
        begun = Adapter(np.array(wanted["start"], dtype), golden["dim"], biased)
        found = train(exam, np.array(golden["weights"], dtype), begun, steps).values
        # Seven places; and in float32 what test_trainer.py allows, where Adam divides gradients by their own size.
        atol = 6e-8 if dtype is np.float64 else 3e-5
        np.testing.assert_allclose(found, values, rtol=0, atol=atol)
        assert np.abs(np.array(values) - wanted["start"]).max() > wanted["rate"] / 4


def test_adapters_read_back_from_the_file_alone() -> None:
    golden = _golden("coda_adapters")
    identity = {"fingerprint": bytes.fromhex(golden["fingerprint"]), "strategy": bytes.fromhex(golden["strategy"])}
    for case in golden["accepted"]:
        data = bytes.fromhex(case["bytes"])
        adapter = decode_adapter(data, **identity, dim=golden["dim"], items=golden["catalogue"])
        assert (adapter.items.tolist(), adapter.values.tolist()) == (case["items"], case["values"])
        assert encode_adapter(adapter) == data


@pytest.mark.parametrize("case", _golden("coda_adapters")["refused"], ids=lambda case: case["case"])
def test_refused_adapters_are_refused_by_the_check_named(case: dict) -> None:
    golden = _golden("coda_adapters")
    identity = {"fingerprint": bytes.fromhex(golden["fingerprint"]), "strategy": bytes.fromhex(golden["strategy"])}
    with pytest.raises(AdapterError, match=f"^adapter: {case['check']}: "):
        decode_adapter(bytes.fromhex(case["bytes"]), **identity, dim=golden["dim"], items=golden["catalogue"])


def test_master_reads_back_from_the_file_alone() -> None:
    golden = _golden("master")
    data = bytes.fromhex(golden["bytes"])
    master = MasterWeights.from_bytes(data)
    assert master.to_bytes() == data
    assert master.fingerprint.hex() == golden["fingerprint"]
    assert master.channel_table.to_json() == golden["channel_table"]
    state = master.state_dict(np.array(golden["widths"], np.uint8))
    # Every number in the vector is exact in float32.
    assert {name: value.tolist() for name, value in state.items()} == golden["state_dict"]


def test_a_grown_master_reads_back_from_the_file_alone() -> None:
    golden = _golden("master")["grown"]
    data = bytes.fromhex(golden["bytes"])
    master = MasterWeights.from_bytes(data)
    master.require_origin()
    assert master.to_bytes() == data and master.origin is not None
    assert (master.items, master.origin.items) == (golden["items"], golden["items_before"])
    assert (master.fingerprint.hex(), master.digest.hex()) == (golden["fingerprint"], golden["digest"])
    assert hashlib.sha256(data).hexdigest().startswith(golden["digest"])


@pytest.mark.parametrize("case", _golden("ed25519")["rfc8032"], ids=lambda case: case["case"])
def test_signatures_are_those_of_rfc_8032(case: dict) -> None:
    secret, key, message, signature = (bytes.fromhex(case[name]) for name in ("secret", "key", "message", "signature"))
    assert Ed25519PrivateKey.from_private_bytes(secret).sign(message) == signature
    assert is_valid(Ed25519PublicKey.from_public_bytes(key), signature, message)


@pytest.mark.parametrize("case", _golden("ed25519")["cases"], ids=lambda case: case["case"])
def test_signatures_are_accepted_and_refused_as_in_every_language(case: dict) -> None:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["key"]))
    assert is_valid(key, bytes.fromhex(case["signature"]), bytes.fromhex(case["message"])) is case["accept"]


class Forgiving:
    """A key under which its library accepts everything."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def public_bytes(self, *_: object) -> bytes:
        return self._raw

    def verify(self, signature: bytes, message: bytes) -> None: ...


@pytest.mark.parametrize("case", _golden("ed25519")["cases"], ids=lambda case: case["case"])
def test_what_libraries_differ_in_is_refused_whatever_the_library_says(case: dict) -> None:
    forgiving: Any = Forgiving(bytes.fromhex(case["key"]))
    assert is_valid(forgiving, bytes.fromhex(case["signature"]), bytes.fromhex(case["message"])) is not case["strict"]


def test_a_library_by_itself_accepts_some_of_what_is_refused() -> None:
    forgiven = set()
    for case in _golden("ed25519")["cases"]:
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["key"])).verify(
                bytes.fromhex(case["signature"]), bytes.fromhex(case["message"])
            )
        except InvalidSignature:
            continue
        forgiven.add(case["case"])
    assert {"key of small order: y = 1, sign 0", "R of small order: y = 1, sign 0"} <= forgiven


def _terms(golden: dict, case: dict) -> dict:
    terms = golden["terms"] | case["terms"]
    return terms | {name: None if terms[name] is None else bytes.fromhex(terms[name]) for name in ("fingerprint", "subject")}


@pytest.fixture(scope="module")
def accepted_keys() -> list[Ed25519PublicKey]:
    return [Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in _golden("envelope")["keys"]]


@pytest.mark.parametrize("case", _golden("envelope")["accepted"], ids=lambda case: case["case"])
def test_envelopes_read_back_from_the_file_alone(case: dict, accepted_keys: list[Ed25519PublicKey]) -> None:
    opened = open_envelope(bytes.fromhex(case["bytes"]), accepted_keys, **_terms(_golden("envelope"), case))
    found = {name: getattr(opened, name) for name in case["found"]}
    assert found | {"payload": opened.payload.hex(), "subject": opened.subject.hex()} == case["found"]


@pytest.mark.parametrize("case", _golden("envelope")["refused"], ids=lambda case: case["case"])
def test_refused_envelopes_are_refused_by_the_check_named(case: dict, accepted_keys: list[Ed25519PublicKey]) -> None:
    with pytest.raises(EnvelopeError, match=f"^envelope: {case['check']}: "):
        open_envelope(bytes.fromhex(case["bytes"]), accepted_keys, **_terms(_golden("envelope"), case))


REFUSED = _golden("master_refused")


def _edited(case: dict) -> bytes:
    data = bytearray(bytes.fromhex(REFUSED["bases"][case["base"]]["bytes"]).ljust(case["length"], b"\0")[: case["length"]])
    for offset, edit in case["edits"]:
        data[offset : offset + len(edit) // 2] = bytes.fromhex(edit)
    return bytes(data)


def _answer_of_python(data: bytes) -> str:
    try:
        master = MasterWeights.from_bytes(data)
    except MasterError:
        return "malformed"
    return "runs" if engine_refusal(master) is None else "not run"


def _answer_of_libchord(data: bytes) -> str:
    try:
        Engine(data)
    except MasterError as error:
        return "not run" if str(error).startswith("engine: ") else "malformed"
    return "runs"


READERS = [_answer_of_python, *([_answer_of_libchord] if available() else [])]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", REFUSED["cases"], ids=lambda case: case["rule"])
def test_a_master_that_breaks_one_rule_is_refused_by_every_reader(case: dict, reader: Callable[[bytes], str]) -> None:
    assert reader(_edited(case)) == case["answer"]


@pytest.mark.parametrize("reader", READERS)
def test_the_masters_that_those_are_made_from_break_none(reader: Callable[[bytes], str]) -> None:
    for base in REFUSED["bases"].values():
        assert reader(bytes.fromhex(base["bytes"])) == base["answer"]


def test_a_personal_file_expands_into_the_master_beside_it() -> None:
    golden = _golden("personal")
    master, widths = MasterWeights.from_bytes(bytes.fromhex(golden["master"])), np.array(golden["widths"], np.uint8)
    assert write_personal(master, widths).hex() == golden["bytes"]
    read = read_personal(bytes.fromhex(golden["bytes"]))
    assert read.master.to_bytes().hex() == golden["expanded"] and read.fingerprint.hex() == golden["fingerprint"]


@pytest.mark.parametrize("case", _golden("personal")["refused"], ids=lambda case: case["case"])
def test_personal_files_are_refused(case: dict) -> None:
    with pytest.raises(MasterError, match=case["says"]):
        read_personal(bytes.fromhex(case["bytes"]))
