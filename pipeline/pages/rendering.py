"""Rendering of pages. All names are escaped, and a page is a single file without external resources."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def environment(templates: Path, filters: Mapping[str, Callable[..., Any]]) -> Environment:
    """Return the Jinja environment for the `templates` of a page, which extend page.html.jinja."""
    made = Environment(
        loader=FileSystemLoader([templates, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= filters
    return made
