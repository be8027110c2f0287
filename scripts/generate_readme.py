"""Rewrites the parts of README.md that come from the code: ``python scripts/generate_readme.py README.md``."""

import sys
from pathlib import Path

from chordkit.export.targets import support_matrix_markdown
from chordkit.files import write_bytes


def replace_between(text: str, name: str, content: str) -> str:
    """``text`` with ``content`` between the markers ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises:
        ValueError: the markers are not there, once each and in this order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the markers {begin} and {end} must be there once, in this order")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content.strip()}\n{end}{rest.split(end)[1]}"


def generated(text: str) -> str:
    """The README as it should be."""
    return replace_between(text, "support-matrix", support_matrix_markdown())


if __name__ == "__main__":
    readme = Path(sys.argv[1] if len(sys.argv) > 1 else "README.md")
    write_bytes(readme, generated(readme.read_text()).encode())
