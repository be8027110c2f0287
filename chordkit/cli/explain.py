"""How ``chordkit export --explain`` says what will run where."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from chordkit.cli.output import emit, rows

if TYPE_CHECKING:
    from chordkit.export.explain import Explanation


def tell(explanations: "list[Explanation]", as_json: bool) -> None:
    """Print what artifacts would be, as tables or as JSON."""
    payload = {"artifacts": [{**asdict(each), "kinds": {str(kind): size for kind, size in each.kinds.items()}} for each in explanations]}
    emit(as_json, payload, lambda: Group(*(table for each in explanations for table in _tables(each))))


def _tables(each: "Explanation") -> list[RenderableType]:
    body = [
        [group.layer, _width(group.width), f"{group.channels:,}", f"{group.stored} bits, {group.container}", f"{group.bytes:,}"]
        for group in each.groups
    ]
    where = f"{each.package} {each.oldest} to {each.newest}" if each.package else "chordkit's own engine"
    layers = rows(f"{each.artifact}: {each.bytes:,} bytes, on {where}", ["layer", "width", "channels", "stored in", "bytes"], body)
    facts = [["computes with", f"{each.activations} activations" + (f": {each.computing}" if each.computing else "")]]
    facts += [[str(kind), f"{size:,} bytes"] for kind, size in each.kinds.items()]
    facts += [[f"not on {old.package} {old.oldest}", f"{old.why}; --runtime {old.runtime} makes a file for it"] for old in each.older]
    return [layers, rows("of the whole file", ["", ""], facts)]


def _width(width: int) -> str:
    return "off" if width == 0 else "float32" if width == 32 else f"int{width}"
