"""A strategy as a picture: every channel in its colour, for few channels and for many, the same as SVG and as PNG."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import InputError, MissingRuntimeError
from chordkit.quantization import ChannelTable
from chordkit.report.strategy_picture import Panel, require_format, save_picture

FEW = ChannelTable.from_sizes([("a", 3, 4), ("<fc>", 2, 8)])
SASREC = ChannelTable.from_sizes([(f"blocks.{block}.{name}", 64, 64) for block in (0, 1) for name in ("q", "k", "v", "o", "f1", "f2")])
WIDE = ChannelTable.from_sizes([("query", 256, 256), ("ffn1", 1024, 256)])
FILLS = {0: "#ffffff", 2: "#b9dcf2", 4: "#4d9fd6", 8: "#0b4a83"}
SVG = "{http://www.w3.org/2000/svg}"


def panels(table: ChannelTable, count: int = 3) -> list[Panel]:
    rng = np.random.default_rng(0)
    widths, mean = rng.choice([0, 2, 4, 8], table.channels).astype(np.uint8), rng.uniform(2, 4, table.channels)
    shown = [Panel("bits", widths), Panel("mean of 942 other users", mean), Panel("minus", widths - mean, True), Panel("since", mean, True)]
    return shown[:count]


def cells(path: Path, table: ChannelTable, panel: int) -> list[ElementTree.Element]:
    """The rectangles of a panel's channels, in channel order: all that are as high as a row but for the frames behind them."""
    high = [each for each in ElementTree.parse(path).iter(f"{SVG}rect") if each.get("height") == "15.00"]
    return high[panel * table.channels : (panel + 1) * table.channels]


@pytest.mark.parametrize("table", [FEW, SASREC, WIDE], ids=["few", "768", "wide"])
def test_every_channel_has_the_colour_of_its_width(table: ChannelTable, tmp_path: Path) -> None:
    shown = panels(table)
    save_picture(tmp_path / "p.svg", "title", table, shown)
    fills = [each.get("fill") for each in cells(tmp_path / "p.svg", table, 0)]
    assert fills == [FILLS[width] for width in shown[0].values.tolist()]
    assert len(cells(tmp_path / "p.svg", table, 2)) == table.channels


def test_more_and_less_have_two_hues_and_no_difference_has_none(tmp_path: Path) -> None:
    save_picture(tmp_path / "p.svg", "title", FEW, [Panel("change", np.array([6.0, -6.0, 0.0, 8.0, -8.0]), difference=True)])
    more, less, same, most, least = (each.get("fill") for each in cells(tmp_path / "p.svg", FEW, 0))
    assert (more, less) == (most, least) == ("#c2410c", "#0f766e") and same == "#fcfcfc"


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("table", [FEW, SASREC, WIDE], ids=["few", "768", "wide"])
def test_nothing_is_cut_off_or_lies_upon_another(table: ChannelTable, count: int, tmp_path: Path) -> None:
    save_picture(tmp_path / "p.svg", "a title", table, panels(table, count))
    root = ElementTree.parse(tmp_path / "p.svg").getroot()
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    spans: dict[str, list[tuple[float, float]]] = {}
    for each in root.iter(f"{SVG}text"):
        # No character of the fonts in use is wider than 0.8 of its height, on average over a word.
        length = 0.62 * float(each.get("font-size", 0)) * len(each.text or "")
        left = float(each.get("x", 0)) - {"start": 0.0, "middle": 0.5, "end": 1.0}[each.get("text-anchor", "")] * length
        assert left >= 0 and left + length <= width and 0 < float(each.get("y", 0)) < height, each.text
        spans.setdefault(each.get("y", ""), []).append((left, left + length))
    for line in spans.values():
        ordered = sorted(line)
        assert all(end <= start for (_, end), (start, _) in pairwise(ordered)), ordered
    for each in root.iter(f"{SVG}rect"):
        if each.get("x") is not None:
            assert float(each.get("x", 0)) + float(each.get("width", 0)) <= width
            assert float(each.get("y", 0)) + float(each.get("height", 0)) <= height


def test_names_are_text_and_not_markup(tmp_path: Path) -> None:
    save_picture(tmp_path / "p.svg", "</svg>\ud800\x01", FEW, panels(FEW))
    texts = [each.text for each in ElementTree.parse(tmp_path / "p.svg").iter(f"{SVG}text")]
    assert "<fc>" in texts and "</svg>\\ud800\\x01" in texts
    assert not re.findall(r"(?:href|src)\s*=|url\(|<script", (tmp_path / "p.svg").read_text())


@pytest.mark.parametrize("table", [FEW, SASREC, WIDE], ids=["few", "768", "wide"])
def test_png_shows_what_svg_shows(table: ChannelTable, tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="Pillow draws PNG; pip install 'chordkit[picture]'")
    for name in ("p.svg", "p.png"):
        save_picture(tmp_path / name, "title\ud800", table, panels(table))
    with image_module.open(tmp_path / "p.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    wrong = Counter[str]()
    for each in (each for panel in range(3) for each in cells(tmp_path / "p.svg", table, panel)):
        x, y, width = (float(each.get(name, 0)) for name in ("x", "y", "width"))
        seen = "#{:02x}{:02x}{:02x}".format(*pixels[int(2 * y + 15), int(2 * x + width)].tolist())
        wrong[seen] += seen != each.get("fill")
    assert not wrong.total()


def test_png_without_pillow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["PIL", *(name for name in sys.modules if name.startswith("PIL."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingRuntimeError, match=r"p\.png: the package pillow is not installed; pip install 'chordkit\[picture\]'"):
        save_picture(tmp_path / "p.png", "title", FEW, panels(FEW))
    assert list(tmp_path.iterdir()) == []
    assert require_format(tmp_path / "p.svg") == tmp_path / "p.svg"


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.jpg: pictures are drawn as \.png or \.svg; give a name that ends so"):
        save_picture(tmp_path / "p.jpg", "title", FEW, panels(FEW))
