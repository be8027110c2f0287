"""The environment variables that chordkit reads: a value that is none gives a sentence that names the variable and the mend."""

import os
import re
from pathlib import Path

import pytest

import chordkit
from chordkit.cli.main import run
from chordkit.errors import InputError
from chordkit.files import cache_folder
from chordkit.runtime_bench.runners.cache import kept

VARIABLES = {"CHORDKIT_CACHE", "CHORDKIT_DATA", "CHORDKIT_EXECUTORCH_OPS"}
# Set by chordkit itself, on a phone; a compiler's name in another's sentence.
OTHERS = {"CHORDKIT_RUN"}


def test_these_are_all() -> None:
    package = Path(chordkit.__file__).parent
    sources = [path for top in package.iterdir() for path in (top.rglob("*") if top.is_dir() else [top])]
    texts = [path.read_text() for path in sources if path.suffix in (".py", ".c", ".cc", ".h", ".sh")]
    assert set(re.findall(r"CHORDKIT_[A-Z_]+", "\n".join(texts))) - OTHERS == VARIABLES


@pytest.mark.parametrize("value", ["/dev/null", "/dev/null/folder", "/proc/nowhere", "x" * 5000, "/" + "x" * 300, "\udcff/\n"])
def test_a_cache_that_cannot_be_one(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHORDKIT_CACHE", value)
    try:
        path = kept("program", "0123", lambda path: path.write_bytes(b"") and None)
    except InputError as error:
        assert re.search(r"programs cannot be kept there \(.+\); name a folder in CHORDKIT_CACHE", str(error))
    else:
        assert path.is_file() and value == "\udcff/\n"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHORDKIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(InputError, match=r"CHORDKIT_CACHE: this user has no home folder .*; name a folder in this variable"):
        cache_folder("programs")


@pytest.mark.parametrize("value", ["", "/dev/null", "/nowhere", "x" * 5000, "relative"])
def test_a_folder_of_data_sets_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("CHORDKIT_DATA", value)
    assert run(["data", "info", "ml-100k"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "CHORDKIT_DATA" in said and "ml-100k/u.data" in said


@pytest.mark.parametrize("value", ["/nowhere.so", "/dev/null", "/tmp", "x" * 5000, os.__file__, "{libc}"])
def test_a_library_of_operators_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("chordkit.kernels.executorch.library")
    pytest.importorskip("executorch")
    if value == "{libc}":
        maps = Path("/proc/self/maps").read_text().splitlines()
        value = next(line.split()[-1] for line in maps if "libc.so.6" in line or "libc-" in line)
    monkeypatch.setenv("CHORDKIT_EXECUTORCH_OPS", value)
    monkeypatch.setattr(library, "_loaded", None)
    monkeypatch.setattr(library, "_registered", lambda portable_lib: False)
    with pytest.raises(InputError, match=r"^CHORDKIT_EXECUTORCH_OPS: "):
        library.load()


@pytest.mark.parametrize("value", ["", " ", "no-such-compiler", "-"])
def test_a_compiler_that_is_none_is_passed_over(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("chordkit.kernels.executorch.library")
    monkeypatch.setenv("CXX", value)
    assert library.compiler()[0] in ("c++", "g++", "clang++", "clang++-19")
