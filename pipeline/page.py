"""data/report/report.html as text: the templates, filled."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline import wording
from pipeline.view import Facts, view

TEMPLATES = Path(__file__).parent / "templates"


def render(facts: Facts) -> str:
    """The whole page. The same facts give the same text: it has no clock, no path and no address in it."""
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= wording.FILTERS
    return environment.get_template("report.html.jinja").render(view(facts))
