"""Files are whole or absent."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chordkit.errors import InputError
from chordkit.files import (
    CACHE_VARIABLE,
    alone,
    atomic_writer,
    cache_folder,
    read_bytes,
    require_own,
    write_bytes,
    write_json,
    write_together,
)
from chordkit.signing import generate_key_pair, key_id, load_private_key, load_public_key


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


def test_a_file_is_read_within_a_limit_and_a_device_never(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"12345")
    assert read_bytes(tmp_path / "file", "strategy", 5) == b"12345"
    with pytest.raises(InputError, match="file: the strategy file is larger than 4 bytes"):
        read_bytes(tmp_path / "file", "strategy", 4)
    with pytest.raises(InputError, match="/dev/zero: the strategy file is a device"):
        read_bytes("/dev/zero", "strategy", 10)


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


def test_a_rewritten_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        write_bytes(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_is_private_is_private_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"secret", private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with atomic_writer(path) as stream:
        stream.write(b"more")
        (temporary,) = tmp_path.glob(".*")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600


def test_a_file_never_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with pytest.raises(InputError, match=f"{name}: this is a device, a pipe or a socket"):
            write_bytes(tmp_path / name, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]


def test_the_folder_reaches_the_disk_after_the_name_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "file").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_bytes(tmp_path / "file", b"x")
    assert synced == [(False, False), (True, True)]


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    code = f"""
from chordkit.files import atomic_writer
import os, signal
with atomic_writer({str(tmp_path / "file")!r}) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert re.fullmatch(r"\.chordkit-[0-9a-f]{8}\.partial", left.name)
    mine = [
        tmp_path / name for name in (".file.abcdefgh.partial", "x.partial", ".chordkit-0123456.partial", ".chordkit-01234567.partial.txt")
    ]
    for path in mine:
        path.write_bytes(b"the user's")
    (tmp_path / ".chordkit-89abcdef.partial").mkdir()
    (tmp_path / ".chordkit-76543210.partial").symlink_to(mine[0])
    before = set(tmp_path.iterdir()) - {left}
    write_bytes(tmp_path / "other", b"x")
    assert set(tmp_path.iterdir()) == before | {tmp_path / "other"}


def test_a_writer_at_work_is_never_swept_whatever_the_clock_says(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "slow") as stream:
        stream.write(b"first half, ")
        (temporary,) = tmp_path.iterdir()
        for when in (0, 2**33):
            os.utime(temporary, (when, when))
            write_bytes(tmp_path / "fast", b"x")
        stream.write(b"second half")
    assert (tmp_path / "slow").read_bytes() == b"first half, second half"


@pytest.mark.parametrize("several", ["threads", "processes"])
def test_many_writers_into_one_folder_all_finish(several: str, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from chordkit.files import write_bytes
for turn in range(100):
    write_bytes(Path(sys.argv[1]) / f"file{turn % 3}", sys.argv[2].encode() * 1000)
"""
    if several == "processes":
        writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), letter]) for letter in "abcd"]
        assert [writer.wait(60) for writer in writers] == [0] * 4
    else:
        umask = os.umask(0o022)
        with ThreadPoolExecutor(4) as pool:
            write = lambda letter, turn: write_bytes(tmp_path / f"file{turn % 3}", letter * 1000)  # noqa: E731
            list(pool.map(write, [b"a", b"b", b"c", b"d"] * 100, range(400)))
        assert os.umask(umask) == 0o022
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file0", "file1", "file2"]
    for path in tmp_path.iterdir():
        assert len(path.read_bytes()) == 1000 and len(set(path.read_bytes())) == 1


def test_files_that_belong_together_are_all_there_or_none(tmp_path: Path) -> None:
    private, public = tmp_path / "a" / "key", tmp_path / "b" / "key.pub"
    write_together({private: (b"secret", True), public: (b"open", False)})
    assert private.read_bytes() == b"secret" and public.read_bytes() == b"open"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    private.unlink()
    with pytest.raises(FileExistsError) as caught:
        write_together({private: (b"other", True), public: (b"other", False)})
    assert caught.value.filename == str(public)
    assert not private.exists() and public.read_bytes() == b"open"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "key.pub"]


def test_of_many_that_make_one_key_pair_one_makes_both_halves(tmp_path: Path) -> None:
    paths = tmp_path / "key.pem", tmp_path / "key.pub.pem"

    def make(_: int) -> str | None:
        try:
            return generate_key_pair(*paths)
        except (InputError, FileExistsError):
            return None

    with ThreadPoolExecutor(8) as pool:
        (made,) = [found for found in pool.map(make, range(16)) if found]
    assert key_id(load_private_key(paths[0]).public_key()) == key_id(load_public_key(paths[1])) == made
    assert sorted(tmp_path.iterdir()) == sorted(paths)


# --- whose code is loaded ---------------------------------------------------------------------------------------------


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the cache, as it is made there."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with alone(cache_folder("programs") / "0123"):
        path = cache_folder("programs") / "0123" / "library.so"
        path.write_bytes(b"code")
    return path


def test_a_folder_of_the_cache_is_its_owners_alone(cached: Path) -> None:
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cached.parent, *cached.parent.parents[:2])] == [0o700] * 3
    require_own(cached)


@pytest.mark.parametrize("up", [0, 1, 2, 3])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_code_that_others_may_change_is_not_loaded(cached: Path, up: int, mode: int) -> None:
    place = [cached, *cached.parents][up]
    place.chmod(place.stat().st_mode | mode)
    with pytest.raises(InputError, match=rf"^{re.escape(str(place))}: it can be written by others .* remove it .*{CACHE_VARIABLE}"):
        require_own(cached)


def test_code_of_another_user_is_not_loaded(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    if cached.stat().st_uid == 0:
        os.chown(cached, 1234, -1)
    with pytest.raises(InputError, match=r"library\.so: it belongs to another user"):
        require_own(cached)


def test_a_link_in_the_cache_is_not_followed(cached: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"code")
    cached.unlink()
    cached.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"library\.so: it is a link"):
        require_own(cached)
