"""The C verifier under ASan, UBSan and libFuzzer. CHORD_FUZZ_SECONDS makes the fuzzers run longer than the second or two here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.kernels import build as libchord
from chordkit.signing import raw_key
from chordkit.strategy import seal

NATIVE = Path(__file__).parent / "native"
CLANG = next((path for name in ("clang-19", "clang") if (path := shutil.which(name))), None)
SANITIZE = ["-O1", "-g", "-fno-sanitize-recover=all", "-fsanitize=address,undefined,fuzzer"]
SECONDS = os.environ.get("CHORD_FUZZ_SECONDS", "2")

pytestmark = [pytest.mark.checkout, pytest.mark.skipif(CLANG is None, reason="clang is not installed")]


def _fuzz(program: str, sources: list[Path], seeds: dict[str, bytes], folder: Path, longest: int, **environment: str) -> None:
    command = [str(CLANG), *libchord.flags(), *SANITIZE, str(NATIVE / f"{program}.c"), *map(str, sources), "-o", str(folder / program)]
    built = subprocess.run(command, capture_output=True, text=True)
    if "libclang_rt" in built.stderr:
        pytest.skip("clang has no runtime for these sanitizers")
    assert built.returncode == 0, built.stderr
    (folder / "seeds").mkdir()
    for name, data in seeds.items():
        (folder / "seeds" / name).write_bytes(data)
    options = [f"-max_total_time={SECONDS}", f"-max_len={longest}"]
    done = subprocess.run(
        [str(folder / program), str(folder / "seeds"), *options], capture_output=True, text=True, env=os.environ | environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(program, *re.findall(r"Done \d+ runs in \d+ second", done.stderr))


def test_a_fuzzed_bundle_opens_with_its_members_inside_or_is_refused(
    toy, signed: Path, personal: Path, verifier_sources: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(raw_key(toy.PUBLIC))
    counted = toy.with_manifest(toy.members(signed), lambda document: document.update(format_version=3, counter=7))
    seeds = {"signed": signed.read_bytes(), "personal": personal.read_bytes(), "counted": counted}
    _fuzz("fuzz_bundle", verifier_sources, seeds, tmp_path, 32768, CHORD_KEY=str(tmp_path / "key"))


def test_a_fuzzed_envelope_opens_with_its_payload_inside_or_is_refused(verifier_sources: list[Path], tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    seeds = {str(i): seal(b"CHRD" + bytes(40), serial=3, signing_key=key, subject=bytes(i), expires=i << 50) for i in (0, 1, 7)}
    _fuzz("fuzz_envelope", verifier_sources, seeds, tmp_path, 400)


def test_a_fuzzed_manifest_is_read_within_its_bounds_or_refused(
    toy, signed: Path, personal: Path, verifier_sources: list[Path], tmp_path: Path
) -> None:
    seeds = {name: toy.members(path)["manifest.json"] for name, path in (("signed", signed), ("personal", personal))}
    _fuzz("fuzz_manifest", verifier_sources, seeds, tmp_path, 16384)
