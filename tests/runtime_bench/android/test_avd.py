"""Virtual devices of an Android SDK. No SDK is here: a program stands in for its emulator, the adbd behind it is a real one."""

import os
import sys
import time
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import adb, client
from chordkit.runtime_bench.devices import avd
from chordkit.runtime_bench.devices.avd import Avd
from chordkit.runtime_bench.devices.emulator import Emulator

from .tree import read

pytestmark = pytest.mark.long


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An SDK with a virtual device called ``phone``; its emulator is for the test to write."""
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    monkeypatch.setenv("ANDROID_AVD_HOME", str(tmp_path / "avd"))
    (tmp_path / "avd").mkdir()
    (tmp_path / "avd" / "phone.ini").write_text("path=somewhere\n")
    (tmp_path / "avd" / "a b.ini").write_text("no name that an emulator takes\n")
    return tmp_path / "sdk" / "emulator" / "emulator"


def test_without_an_sdk_the_one_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = avd.find()
    assert found.devices == () and "sdkmanager emulator" in found.remarks[0]
    with pytest.raises(DeviceError, match="there is no device 'avd:phone': no Android SDK"):
        avd.connect("phone")


def test_the_first_sdk_with_an_emulator_is_taken(tmp_path: Path) -> None:
    program = _program(tmp_path / "second" / "emulator" / "emulator", "#!/bin/sh\n")
    environment = {"ANDROID_HOME": str(tmp_path / "first"), "ANDROID_SDK_ROOT": str(tmp_path / "second")}
    assert avd.find_emulator(environment, tmp_path) == program
    usual = _program(tmp_path / "Android" / "Sdk" / "emulator" / "emulator", "#!/bin/sh\n")
    assert avd.find_emulator({}, tmp_path) == usual
    usual.chmod(0o644)
    assert avd.find_emulator({}, tmp_path) is None


def test_the_virtual_devices_are_listed(sdk: Path) -> None:
    _program(sdk, "#!/bin/sh\n")
    assert [(each.name, each.measurable) for each in avd.find().devices] == [("avd:phone", True)]
    with pytest.raises(DeviceError, match="there is no device 'avd:other'; the virtual devices are phone"):
        avd.connect("other")


def test_an_emulator_that_ends_says_why(sdk: Path, server: int) -> None:
    _program(sdk, "#!/bin/sh\necho 'PANIC: Missing emulator engine program.'\necho 'a remark'\nexit 1\n")
    with pytest.raises(DeviceError, match="avd:phone: the emulator ended with status 1: PANIC: Missing emulator engine"):
        avd.connect("phone")


def test_an_emulator_that_is_never_ready_is_ended(sdk: Path, server: int, tmp_path: Path) -> None:
    _program(sdk, f"#!/bin/sh\necho $$ > {tmp_path}/pid\necho booting\nexec sleep 600\n")
    with pytest.raises(DeviceError, match=r"avd:phone: Android was not ready after 2 s \(booting\)"):
        Avd("phone", sdk, boot_s=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_program_that_is_no_emulator_is_said(sdk: Path, server: int) -> None:
    _program(sdk, "\x7fELF")
    with pytest.raises(DeviceError, match="cannot be started"):
        avd.connect("phone")


STAND_IN = """#!{python}
# What the SDK's emulator does towards adb: a port to its adbd, a word to the adb server, a console that takes "kill".
import os, socket, sys, threading
assert sys.argv[1:3] == ["-avd", "phone"] and "-no-window" in sys.argv, sys.argv
port = int(sys.argv[sys.argv.index("-port") + 1])

def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

def carry(listener):
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", {adbd}))
        threading.Thread(target=pump, args=(near, far), daemon=True).start()
        threading.Thread(target=pump, args=(far, near), daemon=True).start()

threading.Thread(target=carry, args=(socket.create_server(("127.0.0.1", port + 1)),), daemon=True).start()
console = socket.create_server(("127.0.0.1", port))
message = f"host:emulator:{{port + 1}}".encode()
with socket.create_connection(("127.0.0.1", int(os.environ["ANDROID_ADB_SERVER_PORT"]))) as server:
    server.sendall(b"%04x" % len(message) + message)
while True:
    user, _ = console.accept()
    user.sendall(b"Android Console: type 'help' for a list of commands\\r\\nOK\\r\\n")
    if b"kill" in user.recv(4096):
        open({killed!r}, "w").close()
        sys.exit()
"""


def test_a_virtual_device_is_started_used_and_shut_down(phone: Emulator, sdk: Path, tmp_path: Path) -> None:
    # The emulated phone plays the system inside: its adbd is Android's, its properties are those of an emulator.
    properties = read("emulator-x86", "getprop.txt").replace("x86_64", "arm64-v8a").replace("[sys.boot_completed]: [1]", "")
    booted = 'case "$1" in sys.boot_completed) echo 1;; *) cat /tmp/properties;; esac'
    for text, place in ((properties, "/tmp/properties"), (f"#!/bin/sh\n{booted}\n", "/bin/getprop")):
        phone.push(_program(tmp_path / "file", text), place)
    killed = tmp_path / "killed"
    _program(sdk, STAND_IN.format(python=sys.executable, adbd=phone.machine.port, killed=str(killed)))
    try:
        with avd.connect("phone") as device:
            assert isinstance(device, Avd)
            assert (device.name, device.emulated, device.abi) == ("avd:phone", True, "arm64-v8a")
            assert device.run(["echo", "there"], 30).stdout == "there\n"
            assert "EMULATOR" in device.state().bad
            machine = device.describe()
            assert machine.android is not None and machine.android.sdk == 34
            assert device.shell.serial in dict(adb.devices())
        assert killed.exists()
        for _ in range(100):
            if device.shell.serial not in dict(adb.devices()):
                break
            time.sleep(0.1)
        assert device.shell.serial not in dict(adb.devices())
        # What was there before is there still.
        assert phone.run(["echo", "still"], 20).stdout == "still\n"
    finally:
        phone.run(["rm", "-f", "/bin/getprop"], 20)
        client.call(["disconnect", "emulator-5580"], 10)
