"""The text of the page: content, size, and names that never become markup."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from support.reported import ODD, made

from pipeline.evaluation.report.page import render
from pipeline.text import percent

CASES: dict[str, Callable[[], str]] = {
    "two classes": lambda: render(made()),
    "200 classes": lambda: render(made(classes=[f"class {k}" for k in range(200)], images=3000)),
    "odd names": lambda: render(made(classes=ODD, columns={"<b>": ODD})),
    "suspects": lambda: render(made(classes=ODD, suspects=60, drift=["\u202e is 90 % of the new images"])),
    "no mistakes": lambda: render(made(wrong=0)),
    "no test images": lambda: render(made(images=0)),
    "no base": lambda: render(made(base=False)),
    "neither": lambda: render(made(images=0, base=False)),
    "many generations": lambda: render(made(generation=150)),
    "one image": lambda: render(made(images=1)),
}


class Reader(HTMLParser):
    """Parses the tags of a page, its text, and its data."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.data = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag without an end."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Check that every end tag has a start tag."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record text, and the content of scripts."""
        if self.open and self.open[-1] == "script":
            if self.tags[-1][1].get("type") == "application/json":
                self.data += data
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def count(self, tag: str) -> int:
        """Return the number of these tags."""
        return sum(tag == other for other, _ in self.tags)


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest) -> str:
    """Return a page of each kind."""
    return CASES[request.param]()


def test_well_formed(page: str) -> None:
    """Every tag ends, ids are unique, links within the page are valid, and headings skip no level."""
    read = Reader(page)
    assert read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [str(attributes["href"]) for tag, attributes in read.tags if tag == "a"]
    assert all(target[1:] in ids for target in targets)
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert ("html", {"lang": "en"}) in read.tags


def test_nothing_is_fetched(page: str) -> None:
    """The page contains no addresses but those within it."""
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            assert str(attributes.get(name, "#")).startswith(("#", "data:image/")), (tag, name)
    assert "@import" not in page
    assert "url(" not in page


def test_no_name_becomes_markup() -> None:
    """A page with unusual names has the same tags and attributes as one with plain names, and shows the names."""
    plain, odd = (
        Reader(render(made(classes=names, columns={"x": names})))
        for names in ([f"class {k}" for k in range(len(ODD))], ODD)
    )
    assert odd.count("script") == plain.count("script") == 3
    assert odd.count("img") == plain.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in odd.tags for name in attributes)
    assert {"<script>alert(1)</script>", "{{ 7 * 7 }}", "[U+200B]"} <= set(json.loads(odd.data)["names"])
    assert "<script>alert(1)</script>" in odd.text


def test_data_agree_with_the_predictions() -> None:
    """Each picture is in its image's cell, in the order of confidence, with both models' answers."""
    facts = made(classes=["cat", "dog", "emu"], images=200)
    data: dict[str, Any] = json.loads(Reader(render(facts)).data)
    rows = {row["id"]: row for row in facts.findings.predictions.to_dict("records")}
    for cell, places in data["cells"].items():
        actual, predicted = map(int, cell.split(","))
        images = [data["images"][place] for place in places]
        for identity, label, taken, sure, base, base_sure, uri, _ in images:
            row = rows[identity]
            assert [data["names"][label], data["names"][taken]] == [row["label"], row["predicted"]]
            assert (label, taken) == (actual, predicted)
            assert (sure, base_sure) == pytest.approx((row["confidence"], row["base_confidence"]), abs=1e-4)
            assert data["names"][base] == row["base_predicted"]
            assert uri.startswith(("data:image/png;base64,", "data:image/webp;base64,"))
        order = [image[3] for image in images]
        assert order == sorted(order, reverse=actual != predicted)


def test_what_only_the_base_knows_has_its_name() -> None:
    """A class that only the base knows is stored by name, not by number, so that it is no class of the model."""
    facts = made(images=1)
    facts.findings.predictions["base_predicted"] = "emu"
    (image,) = json.loads(Reader(render(facts)).data)["images"]
    assert image[4] == "emu"


def test_no_name_turns_what_is_around_it() -> None:
    """No name of a file, slice or class reverses or controls the text around it."""
    page = render(made(classes=ODD, columns={"\u202ecamera": ODD}, suspects=60, drift=["\u202e is 90 %"]))
    assert not {"\u202e", "\r"} & set(page)
    text = Reader(page).text
    assert all(name in text for name in ("<b>[U+000D][U+202E].jpg", "cat/[U+202E]1.png", "[U+202E]camera"))


def test_long_history() -> None:
    """The last hundred generations are shown with the number of earlier ones, all counted from the first."""
    text = " ".join(Reader(page := render(made(generation=2000))).text.split())
    assert page.count("</b> <code>") == 100
    assert "1,900 earlier generations" in text
    assert "and 1,900 earlier ones" in text
    assert len(page) < 2 * len(render(made(generation=100)))


def test_what_it_says() -> None:
    """The page states verdict, accuracy, interval and change in words."""
    facts = made(images=200)
    text = " ".join(Reader(render(facts)).text.split())
    metrics = facts.findings.metrics
    right = int((facts.findings.predictions["label"] == facts.findings.predictions["predicted"]).sum())
    assert f"{right} of 200 test images are classified correctly" in text
    low, high = (percent(end or 0) for end in (metrics["accuracy_low"], metrics["accuracy_high"]))
    assert f"With 95% confidence, the accuracy on all such images is between {low} and {high}." in text
    assert metrics["base"] is not None
    assert f"than the base, {percent(metrics['base']['accuracy'] or 0)} on the same images" in text
    assert "Accepted" in text
    metrics["accepted"], metrics["verdict"] = False, "class dog fell from 90% to 10%"
    text = " ".join(Reader(render(facts)).text.split())
    assert "Not accepted Class dog fell from 90% to 10%." in text


def test_deterministic() -> None:
    """The same facts give the same text."""
    assert CASES["odd names"]() == CASES["odd names"]()


@pytest.mark.parametrize("classes", [2, 200])
def test_size(classes: int) -> None:
    """The page is below 5 MB with 10,000 noise images and long names."""
    facts = made(
        classes=[f"{k} {'long ' * 49}" for k in range(classes)],
        images=10_000,
        side=256,
        columns={name: [f"{k}" for k in range(100)] for name in "abcdefgh"},
    )
    size = len(render(facts).encode())
    assert size < 5_000_000
    assert len(facts.pictures) >= 100
