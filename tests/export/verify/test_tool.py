"""The command-line program: what an app would be told, from files."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chordkit.signing import generate_key_pair, key_id
from chordkit.strategy import encode, seal, uniform

VERIFY = Path(__file__).parents[3] / "kernels" / "libchord" / "verify"

pytestmark = pytest.mark.checkout


@pytest.fixture(scope="module")
def key_file(toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pub.pem"
    path.write_bytes(toy.PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def _run(*arguments: object) -> tuple[int, bytes]:
    done = subprocess.run([*map(str, arguments)], capture_output=True)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def tool(compile_verifier: Callable[..., Path]) -> Path:
    """With OpenSSL's arithmetic, which a machine with a compiler is likely to have."""
    adapter = VERIFY / "adapters" / "ed25519_openssl.c"
    with_it = "-DCHORD_VERIFY_WITH=chord_ed25519_openssl"
    return compile_verifier("chord_verify", with_it, VERIFY / "tool" / "main.c", adapter, "-lcrypto", needs="openssl/evp.h")


def test_a_bundle_is_accepted_or_refused_with_a_sentence(tool: Path, toy, signed: Path, key_file: Path, tmp_path: Path) -> None:
    status, said = _run(tool, "bundle", signed, key_file)
    assert status == 0 and f"backbone {toy.master().fingerprint.hex()} key {key_id(toy.PUBLIC)}".encode() in said
    status, said = _run(tool, "bundle", signed, key_file, "--member", "items.json")
    assert status == 0 and said == toy.members(signed)["items.json"]
    generate_key_pair(tmp_path / "other.pem", tmp_path / "other.pub.pem")
    assert _run(tool, "bundle", signed, f"{tmp_path / 'other.pub.pem'},{key_file}")[0] == 0
    for options, words in [
        (("--minimum", "9000"), b"lowest that is accepted is 9000"),
        (("--revoked", key_id(toy.PUBLIC)), b"revoked"),
        (("--member", "no"), b"no member"),
    ]:
        status, said = _run(tool, "bundle", signed, key_file, *options)
        assert status == 1 and said.startswith(b"refused: ") and words in said
    assert _run(tool, "bundle", signed, tmp_path / "other.pub.pem")[0] == 1
    for wrong in (("bundle", signed), ("bundle", signed, tmp_path / "other.pem"), ("bundle", tmp_path / "no", key_file)):
        assert _run(tool, *wrong)[0] == 2


def test_an_envelope_is_accepted_or_refused_with_a_sentence(tool: Path, toy, key_file: Path, tmp_path: Path) -> None:
    master = toy.master()
    strategy = encode(uniform(master.channel_table, 4, master.fingerprint))
    (tmp_path / "u.chre").write_bytes(seal(strategy, serial=5, signing_key=toy.KEY, subject=b"\x0a", expires=1000))
    good = ("--subject", "0a", "--fingerprint", master.fingerprint.hex(), "--now", "999", "--minimum", "5")
    status, said = _run(tool, "envelope", tmp_path / "u.chre", key_file, *good)
    assert status == 0 and f"CHRD of {len(strategy)} bytes serial 5".encode() in said
    status, said = _run(tool, "envelope", tmp_path / "u.chre", key_file, *good, "--latest-seen", "1000")
    assert status == 1 and b"expired at 1000" in said


def test_a_program_without_a_verifier_refuses_everything(compile_verifier: Callable[..., Path], signed: Path, key_file: Path) -> None:
    without = compile_verifier("chord_verify_without", VERIFY / "tool" / "main.c")
    status, said = _run(without, "bundle", signed, key_file)
    assert status == 1 and b"nothing is accepted" in said
