"""The places in data/raw, stored in columns, equal those that `ingest` finds, and so do lookups."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.data.removal import gone_already, match, with_copies
from pipeline.commands.forget.naming import ids_of
from pipeline.commands.holdings import Holding, Holdings
from pipeline.errors import ImagesError
from pipeline.ingestion.catalogue import LABEL_FILE, Catalogue, CatalogueMember, catalogue_table
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.places import Knowledge, sources
from pipeline.ingestion.refusals import Refusal
from pipeline.versioning.raw_files import RawFile

# Few ids, so that there are copies; two have a common prefix.
IDS = [digit * 32 for digit in "0123"] + ["0123456789abcdef" * 2, "0123456789" + "f" * 22]
PARTS = st.text("ab[1é", min_size=1, max_size=3)
PATHS = st.lists(PARTS, min_size=1, max_size=2).map("/".join)
UNREAD: list[tuple[str | None, Refusal | None, str]] = [
    (None, None, ""),
    (None, Refusal("broken", "cut off"), ""),
    (None, LABEL_FILE, ""),
    (IDS[0], Refusal("copy", ""), ""),
    (IDS[1], None, "its name"),
]
MEMBERS = st.lists(
    st.tuples(PATHS, st.sampled_from([*((one, None, "") for one in IDS), *UNREAD])).map(lambda one: (one[0], *one[1])),
    max_size=5,
)


@st.composite
def raws(draw: st.DrawFn) -> tuple[list[RawFile], Catalogue]:
    """Draw files of data/raw and the known contents of archives, some read from a file, some listed now."""
    loose = draw(st.dictionaries(PATHS, st.sampled_from(["", *IDS]), max_size=5))
    loose |= dict.fromkeys(draw(st.sets(st.sampled_from(["labels.csv", "a/labels.csv", "metadata.csv"]))), "f" * 32)
    packed = draw(st.dictionaries(PATHS.map("{}.zip".format), MEMBERS, max_size=3))
    md5s = {path: f"{at:032x}" for at, path in enumerate(packed)}
    lists = {
        md5s[path]: [
            CatalogueMember(name, at, image, refusal, doubt) for at, (name, image, refusal, doubt) in enumerate(members)
        ]
        for path, members in packed.items()
    }
    known = Catalogue(rows=catalogue_table({md5: lists[md5] for md5 in lists if draw(st.booleans()) and lists[md5]}))
    known.update({md5: members for md5, members in lists.items() if md5 not in known})
    return [RawFile(path, md5) for path, md5 in sorted((loose | md5s).items())], known


def one_by_one(files: list[RawFile], contents: Catalogue) -> list[Holding]:
    """Return the same places as objects, as `ingest` finds them."""
    found = sources(files, contents, Labels(columns=Columns()), Knowledge(look=lambda _: None))
    return [Holding(one.place._replace(member=one.place.member or None), one.id or None) for one in found]


@given(raws(), PARTS)
def test_places_are_those_of_ingest(raw: tuple[list[RawFile], Catalogue], start: str) -> None:
    """Places and lookups equal those of ingest, whether or not an archive's content is stored in columns."""
    held = Holdings.of(*raw, Columns())
    expected = one_by_one(*raw)
    assert list(held) == expected
    assert len(held) == len(expected)
    assert held.names.to_pylist() == [one.name for one in expected]
    assert held.counts == {path: sum(one.place.path == path for one in expected) for path in held.files}
    for image in IDS:
        assert held.of_images([image]) == [one for one in expected if one.id == image]
    assert held.at(held.beginning("0123")) == [one for one in expected if one.id and one.id.startswith("0123")]
    within = (start, f"{start}.zip!/")
    assert held.at(held.within(*within)) == [one for one in expected if one.id and one.name.startswith(within)]


@given(raws(), st.data())
def test_patterns_choose_as_one_by_one(raw: tuple[list[RawFile], Catalogue], data: st.DataObject) -> None:
    """Names, files, ids, id prefixes and globs select the same places, and find the same copies elsewhere."""
    held, places = Holdings.of(*raw, Columns()), one_by_one(*raw)
    names = {form for one in places for form in (one.name, one.place.path, f"data/raw/{one.name}")}
    patterns = data.draw(
        st.lists(st.sampled_from([*sorted(names), *IDS, "0123456789", "a*", "*[[]*", "*/?", "é*", ""]))
    )
    wanted: set[int] = set()
    for pattern in patterns:
        found = rows_of(pattern, places)
        if isinstance(found, str):
            with pytest.raises(ImagesError, match=re.escape(found)):
                match(patterns, held)
            return
        wanted |= found
    named, copies = with_copies(match(patterns, held).values(), held)
    assert named == [places[row] for row in sorted(wanted)]
    ids = {one.id for one in named if one.id}
    assert copies == [one for row, one in enumerate(places) if one.id in ids and row not in wanted]
    assert gone_already(patterns, held) == {one for one in patterns if one in IDS} - {one.id for one in places}


def rows_of(pattern: str, places: list[Holding]) -> set[int] | str:
    """Return what `pattern` names among `places`, by a simple implementation of the rules; or its error."""
    for form in (pattern, pattern.removeprefix("data/raw/")):
        if found := {row for row, one in enumerate(places) if form and form in (one.name, one.place.path, one.id)}:
            return found
    found = {row for row, one in enumerate(places) if pattern == "0123456789" and (one.id or "").startswith(pattern)}
    if len({places[row].id for row in found}) > 1:
        return f"the ids of several images begin with {pattern}"
    found = found or {row for row, one in enumerate(places) if fnmatchcase(one.name, pattern)}
    return found or f"nothing in it is called {pattern!r}"


def test_unreadable_file_has_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable file can be removed; it cannot be forgotten, since its id is unknown."""
    monkeypatch.chdir(tmp_path)
    held = Holdings.of([RawFile("a/1.png", ""), RawFile("a/2.png", IDS[0])], Catalogue(), Columns())
    matched = match(["a/1.png"], held).values()
    assert with_copies(matched, held) == ([Holding(Place("a/1.png"), None)], [])
    assert ids_of(["a/2.png"], held) == {"a/2.png": [IDS[0]]}
    for name in ("a/1.png", "a/*"):
        with pytest.raises(ImagesError, match=r"a/1\.png: cannot be read, so its id is unknown; take it out with"):
            ids_of([name], held)


def test_nothing_is_held() -> None:
    """In a project without images no pattern has a place."""
    held = Holdings.none()
    assert (len(held), list(held), gone_already(IDS, held)) == (0, [], {*IDS})
    assert held.called(["a"])["a"].tolist() == []
    with pytest.raises(ImagesError, match="nothing in it is called 'a'; there is nothing in it"):
        match(["a"], held)
    assert Holding(Place("a.zip", "b", 1), None).name == "a.zip!/b"
