"""Devices: what is there, and a clear word about what this release cannot measure on."""

from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.devices.adb import list_devices, require_measurable


def _fake_adb(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adb = folder / "adb"
    adb.write_text(f"#!/bin/sh\n{script}\n")
    adb.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_host_is_always_there_and_a_missing_adb_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list_devices()
    assert [(device.name, device.measurable) for device in found.devices] == [("host", True)]
    assert "adb is not installed" in found.remarks[0]


def test_attached_devices_are_listed_but_not_measurable_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "* daemon not running; starting now\\n* daemon started\\nList of devices attached\\nR58M\\tdevice\\nemulator-5554\\toffline\\n\\n"
    )
    _fake_adb(tmp_path, f'[ "$1" = devices ] && printf "{listing}"', monkeypatch)
    found = list_devices()
    assert [device.name for device in found.devices] == ["host", "adb:R58M", "adb:emulator-5554"]
    assert found.devices[2].detail.startswith("offline")
    assert not found.devices[1].measurable
    assert found.remarks == ()


def test_an_adb_that_fails_is_an_error_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_adb(tmp_path, 'echo "cannot bind to port" >&2; exit 1', monkeypatch)
    with pytest.raises(DeviceError, match="cannot bind to port"):
        list_devices()


@pytest.mark.parametrize("device", ["emulator", "adb:R58M"])
def test_measuring_elsewhere_comes_later(device: str) -> None:
    with pytest.raises(DeviceError, match="later release; this release measures on: host"):
        require_measurable(device)


def test_an_unknown_device_is_refused() -> None:
    assert require_measurable("host") == "host"
    for name in ("phone", "adb:", ""):
        with pytest.raises(DeviceError, match="there is no device"):
            require_measurable(name)
