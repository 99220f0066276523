"""A contact sheet as an HTML page."""

from html.parser import HTMLParser

from support.reported import ODD, noise

from pipeline.commands.sheets.sheet import Group, Listed, Part, Sheet, Tile, render
from pipeline.pages.pictures import data_uri


class Tags(HTMLParser):
    """Parses the tags of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the tag."""
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        """Record the text."""
        self.text += data


def sheet(names: list[str]) -> Sheet:
    """Return a page on which all names are `names`."""
    tiles = [Tile(data_uri(noise(0, 20)), name, f"folder/{name}", (name,)) for name in names]
    groups = [
        Group(title=name, note=name, tiles=tiles, files=[Listed(name, name)], left_out="… and 3 more.")
        for name in names
    ]
    part = Part(key="used", title="Comes in", note="By class.", groups=groups, nothing="None.")
    return Sheet(title=names[0], about="About.", figures=[("new", 1234)], warnings=names, parts=[part])


def test_names_are_no_markup() -> None:
    """A page with unusual names has the same tags and attributes as one with plain names, and shows the names."""
    odd, plain = Tags(render(sheet(ODD))), Tags(render(sheet([f"name {k}" for k in range(len(ODD))])))
    assert [(tag, [name for name, _ in attrs]) for tag, attrs in odd.tags] == [
        (tag, [name for name, _ in attrs]) for tag, attrs in plain.tags
    ]
    assert "<script>alert(1)</script>" in odd.text
    assert "[U+202E]gnp.exe" in odd.text


def test_nothing_is_fetched_and_all_is_named() -> None:
    """The page loads no resources; each picture has an alternative text; small pictures have a class of their own."""
    page = Tags(render(sheet(["cat", "dog"])))
    for tag, attrs in page.tags:
        for name, value in attrs:
            assert name not in ("src", "href") or str(value).startswith(("#", "data:image/")), tag
    pictures = [dict(attrs) for tag, attrs in page.tags if tag == "img"]
    assert [picture["alt"] for picture in pictures] == ["cat", "dog"] * 2
    assert {(picture["class"], picture["loading"]) for picture in pictures} == {("small", "lazy")}
    assert "1,234" in page.text


def test_nothing_to_show() -> None:
    """An empty page says so."""
    part = Part(key="used", title="Comes in", note="By class.", groups=[], nothing="No image comes in.")
    page = render(Sheet(title="a", about="", figures=[], warnings=[], parts=[part]))
    assert "No image comes in." in page
    assert "By class." not in page
