"""The Java library on the host's JDK: the arithmetic of the platform and of BouncyCastle, and the C verifier through JNI."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.signing import key_id, raw_key

machines = pytest.importorskip("tests.android.java_virtual_machines", reason="the wheel has no sources of Android")

VERIFIERS = ("platform", "bouncycastle")
OTHER = raw_key(Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32).public_key()).hex()

pytestmark = pytest.mark.checkout
Ask = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, BouncyCastle's part and the program of the tests."""
    folder, debian = tmp_path_factory.mktemp("classes"), machines.debian()
    machines.compile_library(debian, folder / "library")
    machines.compile_tests(debian, folder / "library", [Path(__file__).parent / "java" / "Answers.java"], folder / "tests")
    return folder


@pytest.fixture(scope="module")
def ask(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """All questions of a test to one virtual machine."""
    folder = tmp_path_factory.mktemp("native")
    machines.build_native("x86_64", folder)
    path = [classes / "library", classes / "tests", *machines.run_with(machines.debian())]
    command = ["java", "-Xcheck:jni", "-Xshare:auto", f"-Djava.library.path={folder}", "-cp", ":".join(map(str, path)), "Answers"]

    def questions(lines: list[str]) -> list[str]:
        done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True)
        assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, (done.stdout + done.stderr)[-3000:]
        answers = done.stdout.splitlines()
        assert len(answers) == len(lines), done.stdout[-3000:]
        return answers

    return questions


def test_golden_signatures_are_accepted_and_refused_by_the_platform_and_by_bouncycastle(ask: Ask, golden: Callable) -> None:
    vectors = golden("ed25519")
    cases = [*vectors["rfc8032"], *vectors["cases"]]
    lines = [f"ed25519 {verifier} {case['key']} {case['signature']} {case['message']}" for verifier in VERIFIERS for case in cases]
    available, *answers = ask(["available", *lines])
    assert available == "true"
    wanted = [str(case.get("accept", True)).lower() for case in cases] * len(VERIFIERS)
    assert [line for line, answer, right in zip(lines, answers, wanted, strict=True) if answer != right] == []


def test_what_libraries_differ_in_is_refused_whatever_the_library_says(ask: Ask, golden: Callable) -> None:
    cases = golden("ed25519")["cases"]
    answers = ask([f"ed25519 forgiving {case['key']} {case['signature']} {case['message']}" for case in cases])
    assert [case["case"] for case, answer in zip(cases, answers, strict=True) if (answer == "false") is not case["strict"]] == []


def _question(verifier: str, vectors: dict[str, Any], case: dict[str, Any]) -> str:
    terms = vectors["terms"] | case["terms"]
    subject, fingerprint = ("any" if terms[name] is None else terms[name] for name in ("subject", "fingerprint"))
    now = "none" if terms["now"] is None else terms["now"]
    start = f"envelope {verifier} {case['bytes']} {','.join(vectors['keys'])} {','.join(terms['revoked'])}"
    return f"{start} {subject} {fingerprint} {terms['minimum_serial']} {now} {terms['latest_seen']}"


def test_golden_envelopes_are_opened_and_refused_by_the_check_named(ask: Ask, golden: Callable) -> None:
    vectors = golden("envelope")
    kinds = {
        "key": {"Untrusted"}, "signature": {"Untrusted"}, "version": {"TooNew"}, "reserved": {"TooNew"}, "serial": {"Older", "Damaged"},
        "times": {"NotNow", "Damaged"}, "subject": {"NotForThis", "Damaged"}, "fingerprint": {"NotForThis"},
    }  # fmt: skip
    for verifier in VERIFIERS:
        answers = ask([_question(verifier, vectors, case) for case in [*vectors["accepted"], *vectors["refused"]]])
        for case, answer in zip(vectors["accepted"], answers, strict=False):
            found = case["found"]
            names = ("serial", "subject", "not_before", "expires", "key", "payload")
            assert answer.split(" ")[:7] == ["accepted", *(str(found[name]) for name in names)], case["case"]
        for case, answer in zip(vectors["refused"], answers[len(vectors["accepted"]) :], strict=True):
            kind, sentence = answer.split(" ", 1)
            assert sentence.startswith(f"envelope: {case['check']}: ") and kind in kinds.get(case["check"], {"Damaged"}), case["case"]


def test_a_bundle_opens_with_all_its_members_or_is_refused(
    ask: Ask, toy, signed: Path, personal: Path, grown: Path, unsigned: Path, tmp_path: Path
) -> None:
    key, identifier = raw_key(toy.PUBLIC).hex(), key_id(toy.PUBLIC)
    (tmp_path / "counted.chord").write_bytes(toy.with_manifest(toy.members(signed), toy.setting("counter", 7)))
    members = toy.members(grown)
    stranger = {**members, "master.chrm": toy.with_lineage(members["master.chrm"], b"stranger")}
    (tmp_path / "stranger.chord").write_bytes(toy.rehashed(stranger))
    changed = bytearray(signed.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed.chord").write_bytes(changed)
    for verifier in VERIFIERS:
        whole = ask([f"bundle {verifier} {path} {OTHER},{key} {key_id_of(OTHER)} 0" for path in (signed, personal)])
        for path, answer in zip((signed, personal), whole, strict=True):
            members = {name: data for name, data in toy.members(path).items() if not name.startswith("manifest.")}
            words = answer.split(" ")
            assert words[0] == "accepted" and words[3:5] == [toy.master().fingerprint.hex(), identifier]
            assert words[5:] == [f"{name}={hashlib.sha256(data).hexdigest()}" for name, data in members.items()]
        refused = ask(
            [
                f"bundle {verifier} {tmp_path / 'counted.chord'} {key}  8",
                f"bundle {verifier} {tmp_path / 'changed.chord'} {key}  0",
                f"bundle {verifier} {unsigned} {key}  0",
                f"bundle {verifier} {signed} {OTHER}  0",
                f"bundle {verifier} {signed} {key} {identifier} 0",
                f"bundle {verifier} {tmp_path / 'stranger.chord'} {key}  0",
                f"bundle {verifier} {grown} {key}  0",
                f"bundle {verifier} {tmp_path / 'counted.chord'} {key}  7",
            ]
        )
        kinds = ["Older", "Damaged", "Untrusted", "Untrusted", "Untrusted", "Damaged", "accepted", "accepted"]
        assert [answer.split(" ")[0] for answer in refused] == kinds
        assert refused[-2].split(" ")[3] == toy.master().fingerprint.hex() and refused[-1].split(" ")[1:3] == ["5", "7"]


def key_id_of(key: str) -> str:
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()[:16]


def test_without_a_verifier_or_with_one_that_fails_nothing_is_accepted(ask: Ask, toy, signed: Path, golden: Callable) -> None:
    key, vectors = raw_key(toy.PUBLIC).hex(), golden("envelope")
    lines = [f"bundle {{}} {signed} {key},{OTHER}  0", _question("{}", vectors, vectors["accepted"][0])]
    for verifier, words in (("none", "NoVerifier there is no function"), ("failing", "IllegalStateException no luck")):
        for answer in ask([line.format(verifier) for line in lines]):
            assert answer.startswith(words), answer
    assert ask([f"bundle platform {signed}   0"])[0].startswith("IllegalArgumentException no public key")
