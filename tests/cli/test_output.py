"""Nothing that a stranger wrote into a file acts on the terminal of whoever looks at it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from chordkit.cli import output
from chordkit.cli.output import clean, emit, key_values, rows
from chordkit.export import bundle
from chordkit.export.bundle import ArtifactContents, BundleContents, DatasetSection, Provenance
from chordkit.export.parity import FP32_TOLERANCE, compare, draw
from chordkit.quantization import MasterLayer, MasterWeights, quantize_rows, quantize_table

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x7f\r\nsecond line\u202egnp\u2066[link=https://evil.example][red]here[/red]"
ACTING = set("\x1b\x07\x9b\x00\x7f\r\u202e\u2066")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 60 columns receives."""
    stream = io.StringIO()

    def console(width: int | None = None) -> Console:
        return Console(file=stream, force_terminal=True, width=width or 60, color_system=None, legacy_windows=False)

    monkeypatch.setattr(output, "Console", console)
    return stream


@pytest.mark.parametrize(
    "view",
    [
        lambda: key_values(EVIL, {EVIL: EVIL, "number": 12345}),
        lambda: rows(EVIL, [EVIL, "b"], [[EVIL, EVIL], ["x", 1]]),
        lambda: rows(EVIL, ["a", "b"], [["x", "y"]]),
        lambda: rows("narrow", ["a", "b"], [["x" * 50, EVIL]]),
        lambda: f"{EVIL} written",
    ],
    ids=["values", "rows", "title", "blocks", "sentence"],
)
def test_what_is_shown_is_plain_text(view: Any, terminal: io.StringIO) -> None:
    emit(False, {}, view)
    shown = terminal.getvalue()
    assert not ACTING & set(shown), ascii(shown)
    assert "]8;" not in shown  # a link


@pytest.mark.parametrize(
    "view",
    [
        lambda text: key_values(text, {"a": "b"}),
        lambda text: key_values("t", {text: "b"}),
        lambda text: key_values("t", {"a": text}),
        lambda text: rows(text, ["a"], [["b"]]),
        lambda text: rows("t", ["a", text], [["b", "c"]]),
        lambda text: rows("t", ["a", "b"], [[text, "c"]]),
        lambda text: rows("t", ["a", "b"], [["x" * 80, text]]),
        lambda text: f"{text} written",
    ],
    ids=["title of values", "name", "value", "title of rows", "column", "cell", "block", "sentence"],
)
def test_markup_is_text_wherever_it_stands(view: Any, terminal: io.StringIO) -> None:
    emit(False, {}, view("[red]x[/red][/y]"))
    # A title is broken to the width of its table.
    assert "[red]x[/red][/y]" in "".join(terminal.getvalue().split())


def test_notes_and_errors_are_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.note(EVIL)
    said = capsys.readouterr().err
    assert not ACTING & set(said) and said.count("\n") == 1 and said.startswith("note: \\x1b]0;owned\\x07")


def test_words_of_every_language_stay_as_they_are() -> None:
    for text in ("ïtem 1", "推荐", "café", "naïve 🙂", "עברית", "a  b"):
        assert clean(text) == text
    assert clean("\u200b\ufeff\u2028") == "\\u200b\\ufeff\\u2028"


def _bundle(path: Path) -> None:
    """A small bundle, everything in whose manifest that may be any text is evil."""
    generator = np.random.default_rng(0)
    layer = MasterLayer(quantize_rows(generator.standard_normal((4, 4)).astype(np.float32), "mse"), np.zeros(4, np.float32))
    config = {"architecture": "sasrec", "items": 9, "max_length": 4}
    table = quantize_table(generator.standard_normal((10, 4)).astype(np.float32))
    master = MasterWeights(config, {"blocks.0.query": layer}, {"item_embedding": table}, {})
    scores = {"int8": lambda histories, candidates: np.sin(candidates).astype(np.float32)}
    vectors = draw(np.ones((3, 4), np.int32), np.array([1, 2, 3]), 9, count=3, candidates=5).with_scores(scores)
    native = ArtifactContents(
        name="native-int8",
        target="native",
        precision="int8",
        activations="int8",
        candidates=5,
        data=None,
        requires={"chordkit": EVIL},
        parity=compare(vectors.scores["int8"], vectors.scores["int8"], FP32_TOLERANCE),
    )
    provenance = Provenance(seed=0, commit=EVIL, versions={"torch": EVIL}, options={EVIL: EVIL})
    dataset = DatasetSection(name=EVIL, fingerprint="0" * 64, users=3, items=9, interactions=20)
    ids = ["", *(f"{EVIL}{number}" for number in range(1, 10))]
    bundle.write(path, BundleContents("evil", master, dataset, ids, [native], {}, vectors, provenance))


def test_a_manifest_cannot_act_on_the_terminal_of_inspect(command: Any, tmp_path: Path, terminal: io.StringIO) -> None:
    path = tmp_path / "evil.chord"
    _bundle(path)
    assert command("bundle", "inspect", path).status == 0
    shown = terminal.getvalue()
    assert "owned" in shown and not ACTING & set(shown), ascii(shown)
    # For machines it stays what it is.
    told = command("bundle", "inspect", path, "--json")
    assert json.loads(told.out)["dataset"]["name"] == EVIL and "\x1b" not in told.out


def test_a_cell_that_no_table_holds_takes_none_of_the_others_away(capsys: pytest.CaptureFixture[str]) -> None:
    emit(False, {}, rows("best", ["", "item", "score"], [[1, "x" * 3000, "0.5"], [2, "y", "0.25"]]))
    told = "".join(capsys.readouterr().out.split())
    assert "x" * 3000 in told and "0.5" in told and "0.25" in told
