"""What tests ask of a page: its tables, elements and words, and the contrast of its colours."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tables, ids and elements of a page; refuses tags that do not close."""

    VOID = frozenset({"meta", "br", "img", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        assert self.open == []
        self.ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and {"td", "th"} & set(self.open[-2:]):
            self.tables[-1][-1][-1] += f" {data}"

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.tags)


def words(page: str) -> str:
    return re.sub(r"<[^>]*>", " ", page[page.index("<body>") : page.find("<script", page.index("<body>")) % (len(page) + 1)])


def schemes(page: str) -> dict[str, dict[str, str]]:
    """The page's colours by name, ``light`` and ``dark``."""
    style = page[page.index("<style>") : page.index("</style>")]
    light, dark = style.split("prefers-color-scheme: dark", 1)
    found = {name: dict(re.findall(r"(--\w+): (#[0-9a-f]{6});", part)) for name, part in (("light", light), ("dark", dark))}
    assert found["light"].keys() == found["dark"].keys() and found["light"]
    return found


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours #rrggbb by WCAG 2.1, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)
