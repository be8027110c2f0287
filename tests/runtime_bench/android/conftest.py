"""An adb server of the tests' own, and an emulated phone behind it."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import client
from chordkit.runtime_bench.devices import emulator
from chordkit.runtime_bench.devices.emulator import Emulator
from chordkit.runtime_bench.emulated import prepared


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def adb_server(port: int) -> Iterator[None]:
    """Let adb use a server at ``port``, which adb starts by itself; what runs there at the end is ended."""
    before = os.environ.get("ANDROID_ADB_SERVER_PORT")
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(port)
    try:
        yield
    finally:
        with contextlib.suppress(DeviceError, TimeoutError):
            client.call(["kill-server"], 3)
        del os.environ["ANDROID_ADB_SERVER_PORT"]
        if before is not None:
            os.environ["ANDROID_ADB_SERVER_PORT"] = before


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of an adb server that knows no device."""
    pytest.importorskip("adbutils")
    port = free_port()
    with adb_server(port):
        yield port


@pytest.fixture(scope="module")
def phone() -> Iterator[Emulator]:
    """An emulated phone, reached through Android's own adbd."""
    pytest.importorskip("adbutils")
    if prepared() is None:
        pytest.skip("no emulated machine is prepared; `chordkit devices prepare emulator` makes one")
    with adb_server(free_port()):
        device = emulator.connect("cortex-a53")
        assert isinstance(device, Emulator)
        with device:
            yield device


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 3 MB that does not compress."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 << 20))
    return path
