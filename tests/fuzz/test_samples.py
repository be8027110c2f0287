"""Whatever the decoder of samples is given, it answers as it should. CHORD_FUZZ_SECONDS makes it run longer."""

import os
import zlib
from collections.abc import Callable
from types import ModuleType

import pytest

pytestmark = pytest.mark.checkout  # what a wheel adds to the decoder is nothing

SECONDS = float(os.environ.get("CHORD_FUZZ_SECONDS", "2"))
CHECKS = {
    "length", "magic", "version", "reserved", "fingerprint", "counts", "CRC", "deflate", "segments", "marks", "table", "items",
}  # fmt: skip


@pytest.fixture(scope="module")
def fuzzer(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tests/fuzz/samples.py")


def test_samples_are_refused_with_a_sentence_or_written_as_they_were_read(fuzzer: ModuleType) -> None:
    campaign = fuzzer.run(SECONDS)
    print(campaign)
    assert campaign.faults == [], "\n".join(f"{fault}: {data.hex()}" for fault, data in campaign.faults[:5])
    # Every answer came, so that each check was tried.
    assert set(campaign.answers) == CHECKS | {"accepted"}


def test_a_check_that_is_missing_is_seen(fuzzer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chordkit.coda.samples._inflate", lambda deflated, most: zlib.decompressobj(-15).decompress(deflated, most))
    faults = {fault.partition(":")[0] for fault, _ in fuzzer.run(60, executions=2000).faults}
    assert faults == {"it is not written as it was read", "error"}
