"""How pages are rendered: every name is escaped, and a page holds all that it shows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def environment(templates: Path, filters: Mapping[str, Callable[..., Any]]) -> Environment:
    """What renders the `templates` of a page, which extend page.html.jinja."""
    made = Environment(
        loader=FileSystemLoader([templates, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= filters
    return made
