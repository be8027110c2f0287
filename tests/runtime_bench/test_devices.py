"""Devices: each exists because its file does, and is told apart from what is only listed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench import devices
from chordkit.runtime_bench.android import client
from chordkit.runtime_bench.devices import adb
from chordkit.runtime_bench.devices.adb import AdbDevice
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.devices.registry import connect, list_devices, schemes

STUB = """
from chordkit.runtime_bench.devices.device import DeviceList, Listed
from chordkit.runtime_bench.devices.host import Host

class StubPhone(Host):
    def __init__(self, argument):
        super().__init__()
        self.name = f"stub-phone:{argument}"

    def python(self):
        return None

def find():
    return DeviceList(devices=(Listed(name="stub-phone:7", kind="stub", detail="attached", measurable=True),), remarks=("a remark",))

def connect(argument):
    return StubPhone(argument)
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device file in the folder of devices."""
    (tmp_path / "stub_phone.py").write_text(STUB)
    monkeypatch.setattr(devices, "__path__", [*devices.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "chordkit.runtime_bench.devices.stub_phone", raising=False)


def _fake_adb(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adb = folder / "adb"
    adb.write_text(f"#!/bin/sh\n{script}\n")
    adb.chmod(0o755)
    monkeypatch.setattr(client, "adb_path", lambda: adb)


@pytest.mark.parametrize("scheme", schemes())
def test_a_device_is_found_and_connected_under_the_name_of_its_file(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if scheme == "adb":
        _fake_adb(tmp_path, "printf 'List of devices attached\\nR58M\\tunauthorized\\n'", monkeypatch)
    module = schemes()[scheme]
    connected = 0
    for listed in module.find().devices:
        assert listed.name.partition(":")[0] == scheme
        if listed.measurable:
            connected += 1
            if connected > 1:
                continue  # one machine that boots says enough
            with connect(listed.name) as device:
                assert isinstance(device, Device) and device.name == listed.name and device.describe().architecture
        else:
            with pytest.raises(DeviceError, match=listed.name):
                connect(listed.name)


def test_a_file_in_the_folder_is_all_that_a_device_needs(stub: None, command: Callable) -> None:
    assert "stub-phone" in schemes() and connect("stub-phone:x").name == "stub-phone:x"
    listed = command("devices", "--json").json
    assert {"name": "stub-phone:7", "kind": "stub", "detail": "attached", "measurable": True} in listed["devices"]
    assert "a remark" in listed["remarks"]


def test_the_device_that_is_asked_for_does_the_measuring(stub: None, project: Path, command: Callable) -> None:
    quick = ("--min-seconds", 0, "--min-samples", 20, "--launches", 2)
    outcome = command("bench", project / "shop.chord", "--artifact", "native-u5", "--device", "stub-phone:7", *quick, "--json")
    assert outcome.status == 0 and outcome.json["device"] == "stub-phone:7"
    (result,) = outcome.json["results"]
    assert (result["name"], result["isolated"]["processes"], outcome.json["baseline"]) == ("native-u5", 2, "native-u5")


def test_what_offers_no_device_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = schemes().keys()
    (tmp_path / "helper.py").write_text("def find(): ...\n")
    monkeypatch.setattr(devices, "__path__", [*devices.__path__, str(tmp_path)])
    assert schemes().keys() == before
    for module in ("device", "registry", "helper"):
        with pytest.raises(DeviceError, match="there is no device"):
            connect(module)


def test_the_host_is_always_there_and_a_missing_adb_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = list_devices()
    assert ("host", True) in [(device.name, device.measurable) for device in found.devices]
    assert any("chordkit[android]" in remark for remark in found.remarks)


def test_attached_devices_that_cannot_be_used_are_listed_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "* daemon not running; starting now\\n* daemon started\\nList of devices attached\\n"
        "R58M\\tunauthorized\\nemulator-5554\\toffline\\n0123\\tno permissions (missing udev rules?); see [http://a]\\n\\n"
    )
    _fake_adb(tmp_path, f'[ "$1" = devices ] && printf "{listing}"', monkeypatch)
    found = adb.find()
    reasons = [(device.name, device.measurable, device.detail) for device in found.devices]
    assert [(name, measurable) for name, measurable, _ in reasons] == [
        ("adb:R58M", False),
        ("adb:emulator-5554", False),
        ("adb:0123", False),
    ]
    for (_, _, detail), mend in zip(reasons, ("accept the question", "plug the cable in again", "udev rules"), strict=True):
        assert mend in detail
    assert found.remarks == ()
    everything = list_devices().devices
    assert set(found.devices) < set(everything)
    assert [device.measurable for device in everything] == sorted((device.measurable for device in everything), reverse=True)


@pytest.mark.parametrize(
    ("abi", "measurable", "said"),
    [
        ("arm64-v8a", True, "Acme One, Android 14, arm64-v8a"),
        ("armeabi-v7a", False, "armeabi-v7a; there are runners for arm64-v8a and x86_64"),
    ],
)
def test_a_phone_is_measurable_when_there_are_runners_for_it(
    abi: str, measurable: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stand-in runs what is sent to the device in this machine's shell, where getprop answers as the phone would.
    about = {"manufacturer": "Acme", "model": "One", "cpu.abi": abi}
    lines = "".join(f"echo '[ro.product.{name}]: [{value}]'\n" for name, value in about.items())
    getprop = tmp_path / "getprop"
    getprop.write_text(f"#!/bin/sh\n{lines}echo '[ro.build.version.sdk]: [34]'\necho '[ro.build.version.release]: [14]'\n")
    getprop.chmod(0o755)
    listing = "List of devices attached\\nR58M\\tdevice\\n"
    script = f'[ "$1" = devices ] && {{ printf "{listing}"; exit; }}\nshift 5\nPATH="{tmp_path}:$PATH" exec sh -c "$1"'
    _fake_adb(tmp_path, script, monkeypatch)
    (listed,) = adb.find().devices
    assert (listed.measurable, said in listed.detail) == (measurable, True), listed
    if measurable:
        device = connect("adb:R58M")
        assert (device.name, device.abi, device.describe().android is not None) == ("adb:R58M", abi, True)
    else:
        with pytest.raises(DeviceError, match="adb:R58M: its ABI is armeabi-v7a"):
            connect("adb:R58M")


def test_an_adb_that_fails_is_an_error_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_adb(tmp_path, 'echo "cannot bind to port" >&2; exit 1', monkeypatch)
    with pytest.raises(DeviceError, match="cannot bind to port"):
        list_devices()


def test_a_phone_that_is_not_attached_cannot_be_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_adb(tmp_path, "echo List of devices attached", monkeypatch)
    with pytest.raises(DeviceError, match="adb:R58M: the device is not attached"):
        AdbDevice("R58M", timeout_s=0)


@pytest.mark.parametrize("name", ["phone", "emulator:286", "adb:", "adb", "host:2", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="there is no device"):
        connect(name)
