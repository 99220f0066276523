"""A contact sheet: a page of images in groups, with pictures, names and what is left out."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.pages.rendering import environment
from pipeline.pages.wording import FILTERS

TEMPLATES = Path(__file__).parent / "templates"


class Tile(NamedTuple):
    """A picture, and what stands below it."""

    picture: str
    """A data URI."""
    alt: str
    name: str
    """Where the image lies."""
    lines: tuple[str, ...] = ()

    @property
    def is_small(self) -> bool:
        """Whether it is shown magnified, pixel by pixel."""
        return self.picture.startswith("data:image/png")


class Listed(NamedTuple):
    """A file without a picture."""

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
    """What is not shown, empty where that is nothing."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section of the page."""

    key: str
    """Its address in the page."""
    title: str
    note: str
    groups: list[Group]
    nothing: str
    """What is said where there are no groups."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A page."""

    title: str
    about: str
    figures: list[tuple[str, int]]
    """What is counted, and how many."""
    warnings: list[str]
    parts: list[Part]


def render(sheet: Sheet) -> str:
    """The whole page. The same sheet gives the same text."""
    return environment(TEMPLATES, FILTERS).get_template("sheet.html.jinja").render(sheet=sheet)
