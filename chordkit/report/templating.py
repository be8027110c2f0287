"""Pages from templates: one style sheet, everything inserted is escaped, nothing fetched from anywhere."""

from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from pydantic import BaseModel


def page(template: str, **values: Any) -> str:
    """A template with ``values``: escaped in HTML, left alone in Markdown."""
    environment = Environment(
        loader=PackageLoader("chordkit.report", "templates"),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def embedded(document: BaseModel) -> Markup:
    """A document's JSON, as it may stand inside a page."""
    return Markup(document.model_dump_json().replace("<", "\\u003c"))
