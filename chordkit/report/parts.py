"""What pages are made of: sections of words, tables and charts. One list of them is drawn as HTML and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup

from chordkit.estimate import Estimate


@dataclass(frozen=True)
class Cell:
    """What stands in a table: words, smaller words below, a CSS class (``ok``, ``no``, ``words``)."""

    text: str
    small: str = ""
    css: str = ""


@dataclass(frozen=True)
class Table:
    """Heads and rows of equal length; the first cell of a row is its head.

    Attributes:
        caption: what the table shows, above it.
        heads: of the columns.
        rows: of cells.
        words: its cells are words, which may break, and not numbers.
        mine: the first cell's text of the row that stands out.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: bool = False
    mine: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Chart:
    """A drawing with what is said above it."""

    title: str
    note: str
    svg: Markup
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Charts:
    """Drawings that stand side by side where there is room, over one key: (CSS class, words)."""

    charts: Sequence[Chart]
    key: Sequence[tuple[str, str]] = ()
    kind: ClassVar[str] = "charts"


@dataclass(frozen=True)
class Words:
    """A paragraph; ``dim`` where it only explains."""

    text: str
    dim: bool = False
    kind: ClassVar[str] = "words"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Bullets:
    """A list of remarks."""

    texts: Sequence[str]
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class Verdict:
    """What is read first: sentences, the first one large; ``good`` = there is something to be glad about."""

    good: bool
    sentences: Sequence[str]
    small: str = ""
    kind: ClassVar[str] = "verdict"


Part = Table | Charts | Words | Heading | Bullets | Verdict


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it.

    Attributes:
        anchor: its id in the page.
        title: the heading.
        parts: what stands below it.
        folded: whether a reader has to open it.
    """

    anchor: str
    title: str
    parts: Sequence[Part] = field(default=())
    folded: bool = False


def facts_table(caption: str, facts: Mapping[str, object]) -> Table:
    """Names and values, as a table of two columns; what is None or empty is left out."""
    rows = [[Cell(name), Cell(str(value))] for name, value in facts.items() if value is not None and value != ""]
    return Table(caption, ("name", "value"), rows, words=True)


def without_empty_columns(table: Table) -> Table:
    """The same without the columns that nobody fills."""
    used = [index for index in range(len(table.heads)) if index == 0 or any(row[index].text for row in table.rows)]
    rows = [[row[index] for index in used] for row in table.rows]
    return Table(table.caption, [table.heads[index] for index in used], rows, table.words, table.mine)


def in_bytes(count: int | None) -> str:
    """A size as people read it; nothing for None."""
    if count is None:
        return ""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:,.{2 if unit == 'MiB' else 1}f} {unit}"
    return f"{count} B"


def estimate_cell(estimate: Estimate | None, spec: str = ".4f", css: str = "") -> Cell:
    """A value with its interval below it; empty for None."""
    if estimate is None:
        return Cell("")
    return Cell(f"{estimate.value:{spec}}", f"[{estimate.low:{spec}}, {estimate.high:{spec}}]", css)


def difference_cells(estimate: Estimate | None, better: str = "better", worse: str = "worse") -> tuple[Cell, Cell]:
    """(what an interval says, in a word or two; the difference with its interval) of a paired difference; empty for None."""
    if estimate is None:
        return Cell(""), Cell("")
    word = (
        Cell(better, css="ok")
        if estimate.low > 0
        else Cell(worse, css="no")
        if estimate.high < 0
        else Cell("no sure difference", css="wrap")
    )
    return word, estimate_cell(estimate, "+.4f")
