"""The real adb of the wheel without a device, and with servers and devices that answer nonsense or nothing: each ends in a sentence."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chordkit.errors import DeviceError, MissingRuntimeError
from chordkit.runtime_bench.android import adb, client
from chordkit.runtime_bench.android.adb import AdbShell
from chordkit.runtime_bench.android.trouble import explain
from chordkit.runtime_bench.devices import adb as adb_devices

from .conftest import adb_server, free_port


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port of ours; every connection is given to ``answer`` and stays open."""
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            with contextlib.suppress(OSError):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in kept:
        connection.close()


def silent(connection: socket.socket) -> None:
    """Accept and never say a word."""


def nonsense(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)


def slamming(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def endless(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"OKAYffff" + b"x" * 65535)


def test_the_adb_of_the_wheel_is_used_and_never_that_of_path(server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar = tmp_path / "adb"
    liar.write_text("#!/bin/sh\necho List of devices attached\nprintf 'LIAR\\tdevice\\n'\n")
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert adb.devices() == []
    assert client.adb_path().parent.name == "binaries"


def test_no_device_is_a_remark_and_not_an_error(server: int) -> None:
    found = adb_devices.find()
    assert found.devices == () and "USB debugging" in found.remarks[0]


@pytest.mark.parametrize("serial", ["R58M", "127.0.0.1:1", "nohost.invalid:5555", "-d", ""])
def test_a_device_that_is_not_there_is_said(server: int, serial: str) -> None:
    shell = AdbShell(serial)
    with pytest.raises(DeviceError, match=r"attached|nothing answers|connection was lost") as told:
        shell.run(["true"], 10)
    assert str(told.value).startswith(f"adb:{serial}: ")
    with pytest.raises(DeviceError):
        shell.connect(timeout_s=1)


@pytest.mark.parametrize("behaviour", [silent, nonsense, slamming, endless])
def test_something_else_at_the_servers_port_is_an_error_with_the_mend(behaviour: Callable[[socket.socket], None]) -> None:
    said = r"adb server on port \d+.*ANDROID_ADB_SERVER_PORT"
    with listening(behaviour) as port, adb_server(port), pytest.raises(DeviceError, match=said):
        adb.devices(timeout_s=4)


def test_a_command_does_not_hang_with_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "KILL_S", 1.0)
    with listening(silent) as port, adb_server(port), pytest.raises(DeviceError, match="did not answer for 1 s"):
        AdbShell("R58M").run(["true"], 1)


@pytest.mark.parametrize("behaviour", [silent, nonsense, slamming])
def test_something_else_at_a_devices_port_is_an_error(server: int, behaviour: Callable[[socket.socket], None]) -> None:
    with listening(behaviour) as port:
        with pytest.raises(DeviceError, match=rf"adb:127\.0\.0\.1:{port}"):
            AdbShell(f"127.0.0.1:{port}").connect(timeout_s=1)
        AdbShell(f"127.0.0.1:{port}").disconnect()


def test_a_server_that_cannot_be_started_is_an_error() -> None:
    with adb_server(70_000), pytest.raises(DeviceError):
        adb.devices(timeout_s=10)


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("unauthorized", "accept the question"),
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "accept the question"),
        ("no permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]", "udev rules"),
        ("offline", "plug the cable in again"),
        ("error: more than one device/emulator", "unplug all but one"),
        ("adb: device 'R58M' not found", "USB debugging"),
        ("recovery", "start normally"),
        ("connecting", "still connecting"),
        ("adb: error: failed to copy 'a' to 'b': remote write failed: No space left on device", "disk is full"),
        ("adb: protocol fault (couldn't read status): Success", "ANDROID_ADB_SERVER_PORT"),
        ("failed to connect to '10.0.0.7:5555': Connection refused", "nothing answers there"),
        ("error: closed", "connection was lost"),
        ("", "connection was lost"),
    ],
)
def test_each_of_adbs_words_has_its_mend(words: str, mend: str) -> None:
    sentence = explain("adb:R58M", words)
    assert mend in sentence and "\n" not in sentence


def test_without_adbutils_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = adb_devices.find()
    assert found.devices == () and "chordkit[android]" in found.remarks[0]
    with pytest.raises(MissingRuntimeError, match="pip install"):
        adb.devices()


@pytest.mark.parametrize("command", [[], ["a\0b"]])
def test_a_command_that_no_shell_can_take_is_refused(command: list[str]) -> None:
    with pytest.raises(DeviceError, match="words without null"):
        AdbShell("R58M").run(command, 5)


def test_a_file_that_is_not_here_is_said_before_the_device_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"missing: cannot be read \(No such file"):
        AdbShell("R58M").push(tmp_path / "missing", "/data/local/tmp/x")


def test_the_checksum_is_that_of_the_tools(tmp_path: Path) -> None:
    for size in (0, 1, 3, 65_537):
        path = tmp_path / f"{size}"
        path.write_bytes(bytes(index * 7 % 256 for index in range(size)))
        told = subprocess.run(["cksum"], stdin=path.open("rb"), capture_output=True, text=True, check=True).stdout.split()
        length, sums = adb._sums(path)
        assert [sums["cksum"], str(length)] == told


def test_the_server_outlives_a_ctrl_c_of_the_client() -> None:
    pytest.importorskip("adbutils")
    port = free_port()
    with adb_server(port):
        script = "import os, signal\nfrom chordkit.runtime_bench.android import adb\nadb.devices()\nos.killpg(0, signal.SIGINT)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, start_new_session=True, timeout=60)
        assert done.returncode != 0
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
