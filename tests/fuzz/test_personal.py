"""Whatever the reader of personal files is given, it answers as it should. CHORD_FUZZ_SECONDS makes it run longer."""

import os
from collections.abc import Callable
from types import ModuleType

import pytest

pytestmark = pytest.mark.checkout  # what a wheel adds to the reader is nothing

SECONDS = float(os.environ.get("CHORD_FUZZ_SECONDS", "1"))


def test_a_personal_file_is_read_or_refused_with_a_sentence(script: Callable[[str], ModuleType]) -> None:
    campaign = script("tests/fuzz/personal.py").run(SECONDS)
    print(campaign)
    assert campaign.faults == [], "\n".join(f"{fault}: {data.hex()}" for fault, data in campaign.faults[:5])
    assert campaign.answers["read"] >= 1 and len(campaign.answers) > 5
