"""The app's resources as they are written: layouts with their styles resolved, words by language, colours by theme."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.android.layout import APP

ANDROID = "{http://schemas.android.com/apk/res/android}"
RES = APP / "res"
JAVA = APP / "java"


@dataclass(frozen=True)
class View:
    """An element of a layout; ``parents`` from the outermost on."""

    layout: str
    element: ElementTree.Element
    parents: tuple["View", ...]

    @property
    def kind(self) -> str:
        return self.element.tag.rsplit(".", 1)[-1]

    @property
    def id(self) -> str:
        return self.element.get(f"{ANDROID}id", "").rpartition("/")[2]

    def get(self, name: str) -> str:
        """An attribute without its prefix, from the element itself or from its style; "" where there is none."""
        return self.element.get(ANDROID + name) or style(self.element.get("style", "")).get(name, "")

    def __str__(self) -> str:
        return f"{self.layout}: {self.kind} {self.id}".rstrip()


def parse(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def values(kind: str, qualifier: str = "") -> dict[str, ElementTree.Element]:
    """The values of a kind by name: ``string``, ``color``, in ``values`` or ``values-QUALIFIER``."""
    found: dict[str, ElementTree.Element] = {}
    for path in sorted((RES / f"values{'-' * bool(qualifier)}{qualifier}").glob("*.xml")):
        for element in parse(path).findall(kind):
            assert element.get("name") not in found, f"{path.name}: {element.get('name')} is there twice"
            found[element.get("name", "")] = element
    return found


def style(reference: str) -> dict[str, str]:
    """What a style of the app says, with what it inherits; nothing of the system's own."""
    element = values("style").get(reference.removeprefix("@style/")) if reference.startswith("@style/") else None
    if element is None:
        return {}
    parent = element.get("parent") or element.get("name", "").rpartition(".")[0]
    inherited = style(parent if parent.startswith("@") else f"@style/{parent}") if parent else {}
    return inherited | {item.get("name", "").removeprefix("android:"): item.text or "" for item in element.iter("item")}


def layouts() -> list[Path]:
    return sorted(RES.glob("layout*/*.xml"))


def views() -> Iterator[View]:
    """Every view of every layout."""
    for path in layouts():
        yield from _below(View(path.stem, parse(path), ()))


def _below(view: View) -> Iterator[View]:
    if view.kind != "include":
        yield view
    for child in view.element:
        yield from _below(View(view.layout, child, (*view.parents, view)))


def dimension(reference: str) -> str:
    """A size in its unit: ``48dp``; of a phone, where it has a name."""
    return values("dimen")[reference.removeprefix("@dimen/")].text or "" if reference.startswith("@dimen/") else reference


def colors(night: bool) -> dict[str, str]:
    return {name: element.text or "" for name, element in values("color", "night" if night else "").items()}


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2, of two colours ``#RRGGBB``: 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    assert re.fullmatch("#[0-9A-F]{6}", color), color
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def java() -> dict[str, str]:
    """The app's sources by name, without those of its logic, which know no resources."""
    return {path.name: path.read_text() for path in sorted(JAVA.rglob("*.java")) if path.parent.name != "logic"}


def java_references() -> set[tuple[str, str]]:
    """(kind, name) of every ``R.kind.name``, Android's own left out."""
    return {found.groups() for text in java().values() for found in re.finditer(r"(?<![.\w])R\.(\w+)\.(\w+)", text)}  # type: ignore[misc]


def xml_references() -> set[tuple[str, str]]:
    """(kind, name) of every ``@kind/name`` in layouts, values and the manifest."""
    paths = [*sorted(RES.rglob("*.xml")), APP / "AndroidManifest.xml"]
    return {found.groups() for path in paths for found in re.finditer(r"@(?!\+|android)(\w+)/([\w.]+)", path.read_text())}  # type: ignore[misc]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%(?!%)[^a-zA-Z]*[a-zA-Z]", text))


def languages() -> list[str]:
    """Those of ``values-xx`` folders that have words."""
    return sorted(path.parent.name.removeprefix("values-") for path in RES.glob("values-*/strings.xml"))
