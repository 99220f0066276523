"""A contact sheet: an HTML page of images in groups, with their names and the number of images left out."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.pages.rendering import environment
from pipeline.pages.wording import FILTERS

TEMPLATES = Path(__file__).parent / "templates"


class Tile(NamedTuple):
    """A picture and the text below it."""

    picture: str
    """A data URI."""
    alt: str
    name: str
    """The image's source."""
    lines: tuple[str, ...] = ()

    @property
    def is_small(self) -> bool:
        """Whether the picture is small, so that it is shown magnified with visible pixels."""
        return self.picture.startswith("data:image/png")


class Listed(NamedTuple):
    """A file that is listed without a picture."""

    name: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Images that belong together."""

    title: str
    note: str
    tiles: list[Tile]
    files: list[Listed]
    left_out: str = ""
    """A sentence about what is not shown; empty if everything is shown."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section of the page."""

    key: str
    """The section's HTML id."""
    title: str
    note: str
    groups: list[Group]
    nothing: str
    """The text shown if there are no groups."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The content of a page."""

    title: str
    about: str
    figures: list[tuple[str, int]]
    """Names and values of the counts at the top."""
    warnings: list[str]
    parts: list[Part]


def render(sheet: Sheet) -> str:
    """Return the page as HTML. The same sheet always gives the same text."""
    return environment(TEMPLATES, FILTERS).get_template("sheet.html.jinja").render(sheet=sheet)
