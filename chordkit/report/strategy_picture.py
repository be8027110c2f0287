"""A strategy as a picture of its own: layers as rows, channels as cells, one panel beside or below the other; SVG or PNG.

Both forms are written from one list of marks, so that they show the same. SVG needs no library, PNG needs Pillow.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import InputError, MissingRuntimeError
from chordkit.files import write_bytes
from chordkit.quantization import ChannelTable

FORMATS = (".png", ".svg")

Colour = tuple[int, int, int]

# The report's colours on light ground, but for channels that are off: between its grey and int2 no mean could be read. What lies between
# two widths lies between their colours.
_WIDTHS: tuple[tuple[float, Colour], ...] = ((0, (255, 255, 255)), (2, (185, 220, 242)), (4, (77, 159, 214)), (8, (11, 74, 131)))
# A full int8 against everybody's int2 is the farthest that two strategies without off channels can be apart.
_DIFFERENCES: tuple[tuple[float, Colour], ...] = ((-6, (15, 118, 110)), (0, (252, 252, 252)), (6, (194, 65, 12)))
_INK, _DIM, _FRAME, _PAPER = (27, 31, 36), (98, 108, 120), (223, 227, 232), (255, 255, 255)

_MARGIN, _GAP, _HEADER, _FOOTER, _LINE, _BITS = 20.0, 36.0, 26.0, 50.0, 18.0, 44.0
_TEXT = 11.0
# Of the 11 px font, on the safe side of a mean character.
_CHARACTER = 6.4
_PANEL, _WIDE_PANEL, _CELL, _LEAST_CELL = 384.0, 960.0, 22.0, 1.5
# Layers of more channels want the whole width: their panels stand below each other.
_BESIDE = 128
_PNG_SCALE = 2


@dataclass(frozen=True)
class Panel:
    """One value for every channel.

    Attributes:
        title: what is shown.
        values: [channels], widths, or differences of widths where ``difference``.
        difference: values lie around 0 and get the colours for more and less.
    """

    title: str
    values: NDArray[np.float64]
    difference: bool = False


@dataclass(frozen=True)
class _Rectangle:
    x: float
    y: float
    width: float
    height: float
    fill: Colour


@dataclass(frozen=True)
class _Text:
    """``y`` is the middle of the line; ``anchor`` is left, middle or right."""

    x: float
    y: float
    text: str
    fill: Colour = _INK
    anchor: str = "left"
    size: float = _TEXT


@dataclass(frozen=True)
class _Drawing:
    width: float
    height: float
    marks: list[_Rectangle | _Text]


def require_format(path: Path) -> Path:
    """``path`` when a picture of this name can be drawn here.

    Raises:
        InputError: it ends neither in .png nor in .svg.
        MissingRuntimeError: it ends in .png and Pillow is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: pictures are drawn as {' or '.join(FORMATS)}; give a name that ends so")
    if path.suffix.lower() == ".png":
        try:
            import PIL.ImageFont  # noqa: F401
        except ImportError:
            raise MissingRuntimeError(
                f"{path}: the package pillow is not installed; pip install 'chordkit[picture]', or give a name that ends in .svg"
            ) from None
    return path


def save_picture(path: Path, title: str, table: ChannelTable, panels: Sequence[Panel]) -> None:
    """Draw ``panels`` of the backbone that ``table`` describes, and write them to ``path`` atomically.

    Raises:
        InputError: see :func:`require_format`.
    """
    drawing = _draw(title, table, panels)
    write_bytes(path, _png(drawing) if require_format(path).suffix.lower() == ".png" else _svg(drawing, title))


def _between(value: float, scale: tuple[tuple[float, Colour], ...]) -> Colour:
    places = [place for place, _ in scale]
    red, green, blue = (round(float(np.interp(value, places, [colour[part] for _, colour in scale]))) for part in range(3))
    return red, green, blue


def _draw(title: str, table: ChannelTable, panels: Sequence[Panel]) -> _Drawing:
    most = max(layer.out_channels for layer in table.layers)
    names = _CHARACTER * max(len(layer.name) for layer in table.layers) + 8
    wide = most > _BESIDE
    cell = min(max((_WIDE_PANEL if wide else _PANEL) / most, _LEAST_CELL), _CELL)
    # A title must fit above its own panel, however few channels that has.
    own = max(cell * most + _BITS, max(_CHARACTER * len(panel.title) for panel in panels), _legend_width())
    height = _HEADER + _LINE * len(table.layers) + _FOOTER
    across = 1 if wide else (2 if len(panels) == 4 else len(panels))
    marks: list[_Rectangle | _Text] = [_Text(_MARGIN, _MARGIN + 8, title, size=15)]
    left, top = _MARGIN + names, _MARGIN + 30
    for index, panel in enumerate(panels):
        down, column = divmod(index, across)
        x, y = left + column * (own + _GAP), top + down * height
        if column == 0:
            marks += [
                _Text(x - 8, y + _HEADER + _LINE * (row + 0.5) - 1.5, layer.name, _DIM, "right") for row, layer in enumerate(table.layers)
            ]
        marks += _panel(panel, table, x, y, cell)
    width = left + across * (own + _GAP) - _GAP + _MARGIN
    return _Drawing(max(width, 2 * _MARGIN + 9 * len(title)), top + -(-len(panels) // across) * height + _MARGIN / 2, marks)


def _panel(panel: Panel, table: ChannelTable, x: float, y: float, cell: float) -> list[_Rectangle | _Text]:
    marks: list[_Rectangle | _Text] = [_Text(x, y + 8, panel.title)]
    scale = _DIFFERENCES if panel.difference else _WIDTHS
    # Lines between cells would drown cells that are hardly wider than a line.
    line = 1.0 if cell >= 4 else 0.0
    for row, layer in enumerate(table.layers):
        values = panel.values[table.layer_slice(layer.name)]
        top = y + _HEADER + _LINE * row
        length = cell * len(values)
        # The frame behind the cells keeps those visible that have the colour of the paper.
        marks.append(_Rectangle(x - 1, top - 1, length + 1 + (line == 0), _LINE - 1, _FRAME))
        marks += [
            _Rectangle(x + cell * index, top, cell - line, _LINE - 3, _between(value, scale)) for index, value in enumerate(values.tolist())
        ]
        mean = float(values.mean())
        marks.append(_Text(x + length + 6, top + _LINE / 2 - 1.5, f"{mean:+.2f}" if panel.difference else f"{mean:.2f}", _DIM))
    bottom = y + _HEADER + _LINE * len(table.layers)
    most = max(layer.out_channels for layer in table.layers)
    step = 1
    while step * cell < 8 + _CHARACTER * len(str(most)):
        step *= 2
    marks += [_Text(x + cell * (tick + 0.5), bottom + 6, str(tick), _DIM, "middle", 10) for tick in range(0, most, step)]
    marks += _legend(panel.difference, x, bottom + 26)
    return marks


def _legend_entries(difference: bool) -> list[tuple[str, float]]:
    if difference:
        return [("6 bits less", -6.0), ("same", 0.0), ("6 bits more", 6.0)]
    return [("off", 0.0), ("2 bits", 2.0), ("4", 4.0), ("8", 8.0)]


def _legend_width() -> float:
    return max(sum(26 + _CHARACTER * len(text) for text, _ in _legend_entries(kind)) for kind in (False, True))


def _legend(difference: bool, x: float, y: float) -> list[_Rectangle | _Text]:
    marks: list[_Rectangle | _Text] = []
    for text, value in _legend_entries(difference):
        marks.append(_Rectangle(x, y - 5, 10, 10, _FRAME))
        marks.append(_Rectangle(x + 1, y - 4, 8, 8, _between(value, _DIFFERENCES if difference else _WIDTHS)))
        marks.append(_Text(x + 14, y, text, _DIM, size=10))
        x += 26 + _CHARACTER * len(text)
    return marks


def _printable(text: str) -> str:
    """``text`` as XML and fonts can hold it: a file's name may have any character."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _svg(drawing: _Drawing, title: str) -> bytes:
    anchors = {"left": "start", "middle": "middle", "right": "end"}
    body = []
    for mark in drawing.marks:
        colour = "#{:02x}{:02x}{:02x}".format(*mark.fill)
        if isinstance(mark, _Rectangle):
            body.append(f'<rect x="{mark.x:.2f}" y="{mark.y:.2f}" width="{mark.width:.2f}" height="{mark.height:.2f}" fill="{colour}"/>')
        else:
            body.append(
                f'<text x="{mark.x:.2f}" y="{mark.y + 0.36 * mark.size:.2f}" font-size="{mark.size:g}" fill="{colour}" '
                f'text-anchor="{anchors[mark.anchor]}">{escape(_printable(mark.text))}</text>'
            )
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width:.0f}" height="{drawing.height:.0f}" '
        f'viewBox="0 0 {drawing.width:.0f} {drawing.height:.0f}" font-family="system-ui, sans-serif" shape-rendering="crispEdges">'
        f'<title>{escape(_printable(title))}</title><rect width="100%" height="100%" fill="#ffffff"/>{"".join(body)}</svg>\n'
    )
    return text.encode()


def _png(drawing: _Drawing) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    scale = _PNG_SCALE
    image = Image.new("RGB", (round(drawing.width * scale), round(drawing.height * scale)), _PAPER)
    pen = ImageDraw.Draw(image)
    fonts: dict[float, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}
    anchors = {"left": "lm", "middle": "mm", "right": "rm"}
    for mark in drawing.marks:
        if isinstance(mark, _Rectangle):
            left, top = round(mark.x * scale), round(mark.y * scale)
            right, bottom = round((mark.x + mark.width) * scale), round((mark.y + mark.height) * scale)
            # Pillow draws the last column and row as well.
            pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), fill=mark.fill)
        else:
            if mark.size not in fonts:
                fonts[mark.size] = ImageFont.load_default(mark.size * scale)
            pen.text(
                (mark.x * scale, mark.y * scale), _printable(mark.text), fill=mark.fill, font=fonts[mark.size], anchor=anchors[mark.anchor]
            )
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
