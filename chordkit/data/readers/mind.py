"""MIND's behaviors.tsv (Wu et al., ACL 2020): a row an impression, with what the user had read before and what was shown (N1-1: click)."""

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from chordkit.data.readers.delimited import DelimitedFile
from chordkit.data.readers.table import Table
from chordkit.errors import DataError

NAMES = ["user", "item", "timestamp"]
_TIME = "%m/%d/%Y %I:%M:%S %p"


class MindFile:
    """Clicks as events: the history of a user's first impression, all at its time, then the clicks of each impression."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._file = DelimitedFile(path, data, "\t", has_header=False)
        if len(self._file.names) != 5:
            raise DataError(f"{path}: {len(self._file.names)} columns, and MIND's behaviors.tsv has 5; name its columns, or another format")

    @property
    def names(self) -> list[str]:
        return NAMES

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Table:
        table = self._file.read(self._file.names)
        rows = table.frame.rename(dict(zip(self._file.names, ["impression", "user", "time", "history", "shown"], strict=True)))
        rows = rows.with_row_index("row").with_columns(when=pl.col("time").str.to_datetime(_TIME, strict=False))
        bad = rows.filter(pl.col("when").is_null())
        if bad.height:
            place = table.place(int(bad["row"][0]))
            raise DataError(f"{place}: time '{(bad['time'][0] or '')[:40]}' is not written as MIND's are, 11/15/2019 8:55:22 AM")
        rows = rows.sort("when", "row")
        first = rows.unique("user", keep="first", maintain_order=True)
        before = first.with_columns(item=pl.col("history").fill_null("").str.split(" ")).explode("item")
        shown = rows.with_columns(item=pl.col("shown").fill_null("").str.split(" ")).explode("item")
        clicked = shown.filter(pl.col("item").str.ends_with("-1")).with_columns(item=pl.col("item").str.strip_suffix("-1"))
        events = pl.concat([part.select("row", "user", "item", "when") for part in (before, clicked)]).filter(pl.col("item") != "")
        kept = events["row"].to_list()
        frame = events.select("user", "item", timestamp=pl.col("when").to_physical().cast(pl.String))
        return Table(frame.select(names), lambda row: table.place(kept[row]))
