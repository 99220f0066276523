"""Render the page to drop images on: a single file that loads no other resources."""

from pathlib import Path

from pipeline.commands.serve.model import Model
from pipeline.pages.rendering import environment
from pipeline.pages.wording import FILTERS
from pipeline.text import short

TEMPLATES = Path(__file__).parent / "templates"


def render(model: Model, address: str, limit: int) -> str:
    """Return the page for `address` while `model` is served; a request may have `limit` bytes."""
    made = environment(TEMPLATES, {**FILTERS, "short": short})
    template = made.get_template("serve.html.jinja")
    return template.render(model=model, lineage=model.lineage, address=address, limit=limit)
