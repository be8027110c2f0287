"""A clock that jumps: durations are taken from one that cannot, and the wall's only labels what people read."""

import importlib
import os
import re
from pathlib import Path

import pytest

import chordkit
from chordkit.files import CACHE_VARIABLE

PACKAGE = Path(chordkit.__file__).parent
# When an emulated machine of another release was last used, which is made again where it is missing; whether an envelope is valid now, on
# the command line and in the service's client; what the service writes into its log; what a phone of the demo takes for the time.
ASKED = {"prepare.py": 1, "envelope.py": 1, "client.py": 1, "diary.py": 2, "rollout.py": 1}


def test_no_duration_is_taken_from_the_wall_clock() -> None:
    sources = [path for top in PACKAGE.iterdir() for path in (top.rglob("*") if top.is_dir() else [top])]
    asked: dict[str, int] = {}
    for path in sources:
        if path.suffix in (".py", ".c", ".cc", ".h"):
            text = path.read_text()
            found = re.findall(r"\btime\.time(?:_ns)?\(|\butcnow\(|CLOCK_REALTIME|gettimeofday|system_clock", text)
            # A moment in words, for people.
            dates = re.findall(r"datetime\.now\([^)]*\)(\.isoformat)?", text)
            if count := len(found) + sum(not date for date in dates):
                asked[path.name] = count
    assert asked == ASKED


@pytest.mark.parametrize(("when", "stays"), [(2**33, True), (0, False)], ids=["touched in the future", "long ago"])
def test_a_machine_that_seems_to_come_from_the_future_stays(
    when: int, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, prepare = (importlib.import_module(f"chordkit.runtime_bench.emulated.{name}") for name in ("cache", "prepare"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    record = cache.cache_folder() / "machine-of-another-release" / prepare._RECORD
    record.parent.mkdir(parents=True)
    record.touch()
    os.utime(record, (when, when))
    monkeypatch.setattr(prepare, "_folder", lambda: tmp_path / "own")
    prepare._tidy()
    assert record.exists() == stays
