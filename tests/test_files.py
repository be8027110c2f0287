"""Files are whole or absent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chordkit.errors import InputError
from chordkit.files import CACHE_VARIABLE, alone, atomic_writer, cache_folder, read_bytes, write_bytes, write_json


def test_an_exception_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_writer(path) as stream:
        stream.write(b"half of the new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    size = 1 << 20
    code = f"""
from chordkit.files import write_bytes
import itertools
print("go", flush=True)
for i in itertools.count():
    write_bytes({str(path)!r}, bytes([i % 256]) * {size})
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    data = path.read_bytes()
    assert len(data) == size and len(set(data)) == 1


def test_json_refuses_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named_with_its_role(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such strategy file"):
        read_bytes(tmp_path / "nowhere", "strategy")


def test_the_cache_is_where_its_variable_says_else_in_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert cache_folder("programs") == tmp_path / "user" / "chordkit" / "programs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, "here")
    assert cache_folder("programs") == tmp_path / "here" / "programs"


def test_another_process_waits_for_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    code = f"from pathlib import Path; from chordkit.files import alone\nwith alone(Path({str(folder)!r})): print('in')"
    with alone(folder):
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(2)
    assert other.communicate(timeout=60)[0] == "in\n"
