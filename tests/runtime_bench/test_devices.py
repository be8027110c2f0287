"""Devices: each exists because its file does, and is told apart from what is only listed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench import devices
from chordkit.runtime_bench.devices import adb
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.devices.registry import connect, list_devices, schemes

STUB = """
from chordkit.runtime_bench.devices.device import Device, DeviceList, Listed
from chordkit.runtime_bench.machine import describe
from chordkit.runtime_bench.results import BenchReport, Settings

class StubPhone(Device):
    def __init__(self, argument):
        self.name, self.asked = f"stub-phone:{argument}", []

    def describe(self):
        return describe()

    def measure(self, contenders, histories, candidates, settings=None, *, baseline=None, progress=None):
        reason = ",".join(contender.name for contender in contenders)
        return BenchReport(device=self.name, machine=self.describe(), settings=settings or Settings(), baseline=baseline, steal=0.0,
                           histories=len(histories), candidates=candidates.shape[1], results=(), comparable=False, reasons=(reason,))

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
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize("scheme", schemes())
def test_a_device_is_found_and_connected_under_the_name_of_its_file(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_adb(tmp_path, "printf 'List of devices attached\\nR58M\\tdevice\\n'", monkeypatch)
    module = schemes()[scheme]
    for listed in module.find().devices:
        assert listed.name.partition(":")[0] == scheme
        if listed.measurable:
            device = connect(listed.name)
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
    outcome = command("bench", project / "shop.chord", "--artifact", "native-u5", "--rounds", 6, "--device", "stub-phone:7", "--json")
    assert outcome.json["device"] == "stub-phone:7"
    assert (outcome.json["settings"]["rounds"], outcome.json["baseline"]) == (6, "pytorch-eager")
    assert outcome.json["reasons"] == ["pytorch-eager,native-u5"]  # the contenders that reached it


def test_what_offers_no_device_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = schemes().keys()
    (tmp_path / "helper.py").write_text("def find(): ...\n")
    monkeypatch.setattr(devices, "__path__", [*devices.__path__, str(tmp_path)])
    assert schemes().keys() == before
    for module in ("device", "registry", "helper"):
        with pytest.raises(DeviceError, match="there is no device"):
            connect(module)


def test_the_host_is_always_there_and_a_missing_adb_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list_devices()
    assert ("host", True) in [(device.name, device.measurable) for device in found.devices]
    assert any("adb is not installed" in remark for remark in found.remarks)


def test_attached_devices_are_listed_but_not_measurable_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "* daemon not running; starting now\\n* daemon started\\nList of devices attached\\nR58M\\tdevice\\nemulator-5554\\toffline\\n\\n"
    )
    _fake_adb(tmp_path, f'[ "$1" = devices ] && printf "{listing}"', monkeypatch)
    found = adb.find()
    assert [(device.name, device.measurable) for device in found.devices] == [("adb:R58M", False), ("adb:emulator-5554", False)]
    assert found.devices[1].detail.startswith("offline")
    assert found.remarks == ()
    everything = list_devices().devices
    assert set(found.devices) < set(everything)
    assert [device.measurable for device in everything] == sorted((device.measurable for device in everything), reverse=True)


def test_an_adb_that_fails_is_an_error_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_adb(tmp_path, 'echo "cannot bind to port" >&2; exit 1', monkeypatch)
    with pytest.raises(DeviceError, match="cannot bind to port"):
        list_devices()


def test_measuring_on_a_phone_comes_later() -> None:
    with pytest.raises(DeviceError, match="'adb:R58M' comes in a later release; `chordkit devices`"):
        connect("adb:R58M")


@pytest.mark.parametrize("name", ["phone", "emulator", "adb:", "adb", "host:2", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="there is no device"):
        connect(name)
