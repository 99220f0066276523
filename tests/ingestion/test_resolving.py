"""Every place is an image's main place, a copy, or refused."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingestion.collection import Refused
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.places import Source
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.resolving import COLUMNS, resolve

BROKEN = Refusal("broken", "x")
ONE, TWO = "1".zfill(32), "2".zfill(32)


def source(path: str, image_id: str | None, label: str | None = "cat", attributes: str = "") -> Source:
    """Return a usable place; one without an id is broken."""
    return Source(Place(path), image_id and image_id.zfill(32), label, None if image_id else BROKEN, attributes)


def rows(*found: Source) -> list[dict[str, Any]]:
    """Return the images found as rows."""
    images = resolve(found).images
    assert images.column_names == COLUMNS
    listed: list[dict[str, Any]] = images.to_pylist()
    return listed


def test_nothing() -> None:
    """Without places there are no images."""
    assert not rows()
    assert not resolve([]).refused


def test_copies() -> None:
    """The first place by name counts, and the first attributes that exist."""
    found = [source("b", "2"), source("z", "1", attributes="{2}"), source("y", "1", attributes="{1}"), source("x", "1")]
    assert rows(*found) == [
        {"id": ONE, "label": "cat", "source": "x", "attributes": "{1}"},
        {"id": TWO, "label": "cat", "source": "b", "attributes": ""},
    ]


def test_two_labels() -> None:
    """An image of several classes is refused in all places; others are not."""
    found = [source("a", "1"), source("b", "1", "dog"), source("c", "1"), source("d", "2", "dog"), source("e", None)]
    assert [row["source"] for row in rows(*found)] == ["d"]
    assert sorted(resolve(found).refused) == [
        *(Refused(name, ONE, "two labels", "the same image is in cat, dog") for name in "abc"),
        Refused("e", "", *BROKEN),
    ]


PLACES = st.lists(st.tuples(st.sampled_from("12345"), st.sampled_from("ab"), st.booleans()), max_size=12)


@given(PLACES, st.randoms(use_true_random=False))
def test_order_does_not_matter(places: list[tuple[str, str, bool]], shuffler: random.Random) -> None:
    """The result does not depend on the order of the places, and no place is in two lists."""
    found = [
        source(f"{number}", image_id if good else None, label) for number, (image_id, label, good) in enumerate(places)
    ]
    expected, refused = rows(*found), sorted(resolve(found).refused)
    assert [row["id"] for row in expected] == sorted({row["id"] for row in expected})
    assert not {row["source"] for row in expected} & {line.source for line in refused}
    assert {row["id"] for row in expected} | {line.id for line in refused} >= {one.id for one in found if one.id}
    shuffler.shuffle(found)
    assert (rows(*found), sorted(resolve(found).refused)) == (expected, refused)
