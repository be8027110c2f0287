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
from tests import libfuzzer

NATIVE = Path(__file__).parent / "native"
CLANG = next((path for name in ("clang-19", "clang") if (path := shutil.which(name))), None)
SANITIZE = ["-O1", "-g", "-fno-sanitize-recover=all", "-fsanitize=address,undefined,fuzzer"]

pytestmark = pytest.mark.checkout
needs_clang = pytest.mark.skipif(CLANG is None, reason="clang is not installed")


def _fuzz(program: str, sources: list[Path], seeds: dict[str, bytes], folder: Path, longest: int, **environment: str) -> None:
    command = [str(CLANG), *libchord.flags(), *SANITIZE, str(NATIVE / f"{program}.c"), *map(str, sources), "-o", str(folder / program)]
    built = subprocess.run(command, capture_output=True, text=True)
    if "libclang_rt" in built.stderr:
        pytest.skip("clang has no runtime for these sanitizers")
    assert built.returncode == 0, built.stderr
    (folder / "seeds").mkdir()
    for name, data in seeds.items():
        (folder / "seeds" / name).write_bytes(data)
    options = libfuzzer.options(longest)
    done = subprocess.run(
        [str(folder / program), str(folder / "seeds"), *options], capture_output=True, text=True, env=os.environ | environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(program, *re.findall(r"Done \d+ runs in \d+ second", done.stderr))


@needs_clang
def test_a_fuzzed_bundle_opens_with_its_members_inside_or_is_refused(
    toy, signed: Path, personal: Path, grown: Path, verifier_sources: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(raw_key(toy.PUBLIC))
    counted = toy.with_manifest(toy.members(signed), toy.setting("counter", 7))
    seeds = {"signed": signed.read_bytes(), "personal": personal.read_bytes(), "counted": counted, "grown": grown.read_bytes()}
    _fuzz("fuzz_bundle", verifier_sources, seeds, tmp_path, 32768, CHORD_KEY=str(tmp_path / "key"))


@needs_clang
def test_a_fuzzed_envelope_opens_with_its_payload_inside_or_is_refused(verifier_sources: list[Path], tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    seeds = {str(i): seal(b"CHRD" + bytes(40), serial=3, signing_key=key, subject=bytes(i), expires=i << 50) for i in (0, 1, 7)}
    _fuzz("fuzz_envelope", verifier_sources, seeds, tmp_path, 400)


@needs_clang
def test_a_fuzzed_manifest_is_read_within_its_bounds_or_refused(
    toy, signed: Path, personal: Path, verifier_sources: list[Path], tmp_path: Path
) -> None:
    seeds = {name: toy.members(path)["manifest.json"] for name, path in (("signed", signed), ("personal", personal))}
    _fuzz("fuzz_manifest", verifier_sources, seeds, tmp_path, 16384)


def test_sizes_of_32_bits_do_not_overflow(toy, signed: Path, verifier_sources: list[Path], tmp_path: Path) -> None:
    """What a phone with 32 bits does, on this CPU: numbers near 2^32 in every field."""
    gcc = shutil.which("gcc")
    narrow = ["-m32", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    probe = {"input": '#include <stdio.h>\nint main(void) { return puts("") < 0; }', "text": True, "capture_output": True}
    if gcc is None or subprocess.run([gcc, *narrow, "-x", "c", "-", "-o", str(tmp_path / "probe")], **probe).returncode:
        pytest.skip("gcc has no 32-bit libraries (gcc-multilib)")
    sources = [NATIVE / "replay.c", NATIVE / "fuzz_bundle.c", *verifier_sources]
    command = [gcc, *libchord.flags(), "-O1", *narrow, *map(str, sources), "-o", str(tmp_path / "replay")]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    data = bytearray(signed.read_bytes())
    (tmp_path / "bundle").write_bytes(data)
    data[-10:-2] = (len(data) - 22 + 16).to_bytes(4, "little") + (2**32 - 16).to_bytes(4, "little")  # they add up to what is right
    (tmp_path / "directory before the file").write_bytes(data)
    (tmp_path / "key").write_bytes(raw_key(toy.PUBLIC))
    replay = ["./replay", "300", "bundle", "directory before the file"]
    done = subprocess.run(replay, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"CHORD_KEY": "key"})
    assert (done.returncode, done.stdout) == (0, "replayed\n"), done.stderr[-3000:]
