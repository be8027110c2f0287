"""docs/quickstart-your-data.md: its commands run as they are printed, on small files in the published forms that it names."""

import gzip
import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chordkit.data import Dataset, synthesize

PAGE = Path(__file__).parents[1] / "docs" / "quickstart-your-data.md"
pytestmark = pytest.mark.checkout

# On real data these take minutes; here they only have to run.
FASTER = {
    ("train", "backbone"): ["--epochs", "1", "--dim", "16", "--threads", "1"],
    ("train", "hypernetwork"): ["--epochs", "1"],
    ("bundle", "make"): ["--histories", "60"],
}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def _write_published_files(folder: Path) -> None:
    """The same clicks in four forms, from 2026 on, a minute apart."""
    data = synthesize(3, users=150, items=150, mean_length=15, max_length=30)
    rows = [
        (user, int(item), 1_767_225_600 + 60 * (31 * place + user))
        for user, sequence in enumerate(data.sequences, 1)
        for place, item in enumerate(sequence)
    ]
    dates = [datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z") for *_, time in rows]
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "".join(f"{user},{item},{3 + item % 3}.0,{time}\n" for user, item, time in rows)
    )
    events = "timestamp,visitorid,event,itemid,transactionid\n" + "".join(
        f"{time}000,{user},{'addtocart' if item % 7 == 0 else 'view'},{item},\n" for user, item, time in rows
    )
    (folder / "events.csv.gz").write_bytes(gzip.compress(events.encode()))
    (folder / "clicks.dat").write_text("".join(f"{user},{date},{item},0\n" for (user, item, _), date in zip(rows, dates, strict=True)))
    (folder / "log").mkdir()
    for part in range(2):
        lines = [
            json.dumps({"who": {"id": user}, "product": {"id": str(item)}, "at": date})
            for (user, item, _), date in list(zip(rows, dates, strict=True))[part::2]
        ]
        (folder / "log" / f"2026-0{part + 1}.jsonl").write_text("\n".join(lines) + "\n")


def test_the_way_from_published_files_to_recommendations(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write_published_files(tmp_path)
    (settings,) = _blocks("toml")
    lines = [shlex.split(line, comments=True) for block in _blocks("sh") for line in block.splitlines() if line.strip()]
    assert len(lines) == 11 and all(line[0] == "chordkit" for line in lines)
    outcomes = {}
    for number, (_, *arguments) in enumerate(lines):
        if number == 4:
            (tmp_path / "chordkit.toml").write_text(settings)
        faster = next((extra for verb, extra in FASTER.items() if tuple(arguments[: len(verb)]) == verb), [])
        outcome = command(*arguments, *faster)
        assert outcome.status == 0, (arguments, outcome.err)
        outcomes[number] = outcome
    prepared = [Dataset.load(f"{name}.safetensors") for name in ("movies", "shop", "clicks", "log")]
    assert prepared[2].interactions == prepared[3].interactions > prepared[1].interactions > prepared[0].interactions
    assert "from chordkit.toml: --data shop.safetensors, --max-length 20" in outcomes[4].err
    found = outcomes[10].json
    assert len(found["items"]) == 5 and not {"12", "5", "31"} & {each["item"] for each in found["items"]}
