"""The C applier gives the answers of Python's, to the golden vectors and to whatever else it is given."""

import random
import re
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chordkit.errors import BundleError
from chordkit.export import bundle
from chordkit.kernels import build as libchord
from tests import libfuzzer

pytestmark = pytest.mark.checkout

HEADER = libchord.LIBCHORD / "include" / "chord_delta.h"
NATIVE = Path(__file__).parent / "native"
CLANG = next((path for name in ("clang-19", "clang") if (path := shutil.which(name))), None)
KINDS = {"version": "TOO_NEW", "reserved": "TOO_NEW", "sizes": "TOO_LARGE", "base": "OTHER_BASE", "result": "BAD_RESULT"}
LARGEST = 200


def _python(base: bytes, data: bytes, largest: int = 1 << 32) -> str:
    try:
        bundle.apply_difference(base, data, largest=largest)
    except BundleError as error:
        return str(error).split(": ")[1]
    return ""


def test_golden_differences_are_applied(native: Any, golden: dict[str, Any]) -> None:
    for case in golden["accepted"]:
        base, data = bytes.fromhex(case["base"]) * case["times"], bytes.fromhex(case["bytes"])
        found = native.apply(base, data, case["size"])
        assert (found.status, found.result) == ("OK", bundle.apply_difference(base, data)), case["case"]


def test_golden_differences_are_refused_by_the_check_named(native: Any, golden: dict[str, Any]) -> None:
    refused = golden["refused"]
    for case in refused["cases"]:
        found = native.apply(bytes.fromhex(refused["base"]), bytes.fromhex(case["bytes"]), refused["largest"])
        assert (found.check, found.status) == (case["check"], KINDS.get(case["check"], "DAMAGED")), case["case"]
        assert case["check"] in ("stream", "result") or found.result == b""
    copied = next(each for each in golden["accepted"] if each["case"] == "copied")
    assert native.apply(bytes.fromhex(refused["other base"]), bytes.fromhex(copied["bytes"])).status == "OTHER_BASE"
    assert native.apply(bytes.fromhex(refused["base"]), bytes.fromhex(copied["bytes"]), room=95).status == "NOT_WRITTEN"


def test_bundles_come_out_as_python_makes_them(native: Any, shop: Any) -> None:
    base = shop.first()
    twice = shop.with_artifact_of_it(shop.next_morning())
    for result in (shop.next_morning(), shop.grown(), shop.renumbered(), twice):
        assert native.apply(base, bundle.difference(base, result)).result == result


def test_python_and_c_give_the_same_answer_to_changed_differences(native: Any, golden: dict[str, Any]) -> None:
    generator, answers = random.Random(0), Counter[str]()
    cases = [case for case in golden["accepted"] if case["size"] < 500]
    for _ in range(4000):
        case = generator.choice(cases)
        base, body = bytes.fromhex(case["base"]) * case["times"], bytearray(bytes.fromhex(case["bytes"])[:-4])
        for _ in range(generator.choice([1, 1, 2, 5])):
            # Mostly in the sizes, the segments and the stream: the digests are large, and all their changes are alike.
            place = generator.randrange(76, len(body)) if generator.random() < 0.9 else generator.randrange(len(body))
            body[place] = generator.choice(
                [0, 1, 2, 4, 0x7F, 0x80, 0xFF, body[place] ^ 1 << generator.randrange(8), generator.randrange(256)]
            )
        data = bytes(body) + (zlib.crc32(body) ^ (generator.random() < 0.02)).to_bytes(4, "little")
        found = native.apply(base, data, LARGEST)
        assert found.check == _python(base, data, LARGEST), data.hex()
        assert found.check or found.result == bundle.apply_difference(base, data)
        answers[found.check] += 1
    print(answers)
    assert set(answers) == {"", "magic", "version", "reserved", "sizes", "length", "CRC", "base", "segments", "stream", "result"}


def test_it_shows_what_its_header_says_and_allocates_nothing(compile_applier: Callable[..., Path], applier_sources: list[Path]) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")

    def symbols(option: str) -> set[str]:
        listed = subprocess.run(["nm", "-D", option, str(library)], check=True, capture_output=True, text=True).stdout
        return {line.split()[-1].partition("@")[0] for line in listed.splitlines()}

    library = compile_applier("libchord_delta_alone.so", "-shared", "-U_FORTIFY_SOURCE", without=applier_sources[-1:])
    announced = set(re.findall(r"^CHORD_API .*?\b(chord_\w+)\(", HEADER.read_text(), flags=re.MULTILINE))
    assert len(announced) == 3 and symbols("--defined-only") == announced
    assert {name for name in symbols("--undefined-only") if not name.startswith("_")} <= {"memcpy", "memcmp", "memset", "vsnprintf"}


@pytest.mark.skipif(CLANG is None, reason="clang is not installed")
@pytest.mark.parametrize("target", ["aarch64-linux-android29", "armv7a-linux-androideabi29"])
def test_it_is_compiled_for_android_without_the_ndk(target: str, applier_sources: list[Path]) -> None:
    libc = ["-nostdlibinc", "-isystem", str(libchord.LIBCHORD / "android" / "include")]
    strict = ["-Werror", "-Wconversion", "-Wshadow", "-fsyntax-only"]
    files = list(map(str, applier_sources[:-1]))  # all but the adapter, which needs zlib's header
    done = subprocess.run([str(CLANG), f"--target={target}", *libchord.flags(), *libc, *strict, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_program_writes_the_bundle_or_nothing(compile_applier: Callable[..., Path], shop: Any, tmp_path: Path) -> None:
    tool = compile_applier("chord_delta", libchord.LIBCHORD / "delta" / "tool" / "main.c", "-lz")
    old, difference, new = (tmp_path / name for name in ("old.chord", "d.chordd", "new.chord"))
    old.write_bytes(shop.first())
    result = shop.with_artifact_of_it(shop.next_morning())
    difference.write_bytes(bundle.difference(shop.first(), result))
    for largest, status, said in ((["1000"], 1, "refused: difference: sizes: "), ([], 0, "applied: "), (["x", "y"], 2, "")):
        done = subprocess.run([tool, old, difference, new, *largest], capture_output=True, text=True)
        assert (done.returncode, done.stdout.startswith(said)) == (status, True), done.stdout
        assert new.exists() is (status != 1)
    assert new.read_bytes() == result
    old.write_bytes(shop.grown())
    new.unlink()
    done = subprocess.run([tool, old, difference, new], capture_output=True, text=True)
    assert done.returncode == 1 and "(the difference is for another file)" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.chordd", "old.chord"]


@pytest.mark.skipif(CLANG is None, reason="clang is not installed")
def test_a_fuzzed_difference_is_applied_inside_of_its_bounds_or_refused(
    golden: dict[str, Any], applier_sources: list[Path], tmp_path: Path
) -> None:
    sanitize = ["-O1", "-g", "-fno-sanitize-recover=all", "-fsanitize=address,undefined,fuzzer"]
    sources = [NATIVE / "fuzz.c", *applier_sources]
    command = [str(CLANG), *libchord.flags(), *sanitize, *map(str, sources), "-lz", "-o", str(tmp_path / "fuzz")]
    built = subprocess.run(command, capture_output=True, text=True)
    if "libclang_rt" in built.stderr or "zlib.h" in built.stderr:
        pytest.skip("clang has no runtime for these sanitizers, or there is no zlib.h")
    assert built.returncode == 0, built.stderr
    (tmp_path / "seeds").mkdir()
    for number, case in enumerate(golden["accepted"]):
        if case["times"] == 1 and len(case["base"]) == 192:
            (tmp_path / "seeds" / str(number)).write_bytes(bytes.fromhex(case["base"] + case["bytes"]))
    command = [str(tmp_path / "fuzz"), str(tmp_path / "seeds"), *libfuzzer.options(1000)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    print(*re.findall(r"Done \d+ runs in \d+ second", done.stderr))
