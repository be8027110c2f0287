"""Whatever the patcher is given, it answers as it should. CHORD_FUZZ_SECONDS makes it run longer."""

import os
from collections.abc import Callable
from types import ModuleType

import pytest

pytestmark = pytest.mark.checkout  # what a wheel adds to the patcher is nothing

SECONDS = float(os.environ.get("CHORD_FUZZ_SECONDS", "2"))
CHECKS = {"table", "version", "reserved", "length", "CRC", "content", "layers", "channels", "places", "values", "fingerprint"}


@pytest.fixture(scope="module")
def fuzzer(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tests/fuzz/patches.py")


def test_a_master_file_becomes_the_users_or_is_refused_with_a_sentence(fuzzer: ModuleType) -> None:
    campaign = fuzzer.run(SECONDS)
    print(campaign)
    assert campaign.faults == [], "\n".join(f"{fault}: {data.hex()}" for fault, data in campaign.faults[:5])
    # Every answer came, so that each check was tried.
    assert set(campaign.answers) == CHECKS | {"accepted"}


def test_a_check_that_is_missing_is_seen(fuzzer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chordkit.patching.table._apart", lambda *_: True)
    faults = {fault.partition(":")[0] for fault, _ in fuzzer.run(60, executions=1000).faults}
    assert "it is not what docs/patching.md says" in faults
