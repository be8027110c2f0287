"""Registries in SQLite and in PostgreSQL; the server is a real one that is started here and ends with the tests."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE_S = 60.0


def server_programs() -> Path | None:
    """The folder of PostgreSQL's server, where Debian or the path has one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Empties the database, and gives its address."""
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'chordkit[postgresql]'")
    programs = server_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL server here: scripts/system_packages.sh tests")
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # the server refuses to be root
    identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    # A short path of its own: sockets have short names, and another user cannot pass through pytest's folder.
    with tempfile.TemporaryDirectory(prefix="chordkit-pg-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if identity:
            shutil.chown(folder, user)
        data = folder / "data"
        options = ["--no-sync", "--auth=trust", "--username=chordkit", "--encoding=UTF8", "--locale=C"]
        made = subprocess.run([programs / "initdb", *options, data], cwd=folder, capture_output=True, text=True, **identity)
        assert made.returncode == 0, made.stderr
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "shared_buffers=16MB", "max_connections=20"]
        command = [programs / "postgres", "-D", data, *[part for each in settings for part in ("-c", each)]]
        log = open(folder / "log", "wb")  # noqa: SIM115 - the server's
        with log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **identity)
        try:
            yield lambda: empty_database(folder, server)
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(PATIENCE_S)


def empty_database(folder: Path, server: subprocess.Popen[bytes]) -> str:
    """Always the same one: a new one would be a thousand files."""
    import psycopg

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection = psycopg.connect(host=str(folder), user="chordkit", dbname="postgres", autocommit=True)
        except psycopg.OperationalError:  # it is still starting
            assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
            continue
        with contextlib.closing(connection):
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")
        return f"postgresql://chordkit@/postgres?host={folder}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/releases.sqlite"
    made: str = request.getfixturevalue("postgresql")()
    return made
