"""Places stored in columns give the same images, refusals and new places as places stored as objects."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ids import Ids
from pipeline.ingestion.catalogue import LABEL_FILE, Catalogue, CatalogueMember, catalogue_table, read_catalogue
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.places import Knowledge, find
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.resolving import resolve
from pipeline.ingestion.settled import Settled
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.versioning.raw_files import RawFile

IDS = [f"{number:032x}" for number in range(12)]
ARCHIVES = ["f" * 31 + digit for digit in "0123"]
FOLDERS = ["cat", "dog", "My Set/cat", "My Set/dog", "train/cat", "a\x01b", "cat/./x", "", "._odd", "Emu"]
NAMES = ["1.png", "2.PNG", "3.jpg", "[1].png", "README", "labels.csv", "x.zip", "Icon\r"]
BROKEN = Refusal("broken", "x")
GONE = Refusal("vanished", "no such file")
PATHS = ("a.zip", "b.tar", "cat/c.zip", "dog/d.zip", "My Set/e.zip")
LABELS = (
    *("cat/[1].png,wolf", "*/[1].png,fox", "a.zip!/*,emu", "*/?.png,dog,south", "b.tar!/dog/[1-3].*,cat"),
    *("a.zip!/cat/*,wolf", "*/2.PNG,emu", "no such,cat", "./dog/1.png,fox", "cat/c.zip!/./cat/1.png,fox"),
    *(
        "cat/1.png,dog,north",
        "cat/1.png,cat",
        "My Set/cat/1.png,dog",
        "dog/1.png,wolf",
        "cat/1,fox",
        "dog/2,wolf,south",
    ),
    *("a.zip!/cat/1.png,emu", "a.zip!/dog/1.png,wolf,north", "b.tar!/cat/1.png,dog,south", "b.tar!/dog/3.jpg,dog"),
)
BELOW = (
    "[1].png,fox",
    "*.png,dog",
    "1.png,wolf",
    "1.png,fox,north",
    "2.PNG,dog",
    "*,emu",
    "c.zip!/cat/1.png,wolf",
    "c.zip!/dog/1.png,wolf,north",
)
names = st.builds(
    lambda folder, name: f"{folder}/{name}".removeprefix("/"), st.sampled_from(FOLDERS), st.sampled_from(NAMES)
)
ids = st.sampled_from(IDS)
plain = st.builds(lambda name, image_id: CatalogueMember(name, 0, image_id), names, ids)
refused = st.builds(
    lambda name, refusal: CatalogueMember(name, 0, refusal=refusal), names, st.sampled_from([BROKEN, LABEL_FILE])
)
lines = st.sampled_from([None, LabelLine("wolf", '{"site": "a"}'), LabelLine("cat", "", "two say so")])
odd = st.builds(
    lambda name, image_id, doubt, line: CatalogueMember(name, 0, image_id, doubt=doubt, line=line),
    *(names, st.none() | ids, st.sampled_from(["", "is odd"]), lines),
)


class World(NamedTuple):
    """A random data/raw, and what is known of it."""

    archives: dict[str, list[CatalogueMember]]
    where: dict[str, str]
    """The archives' MD5s, by path."""
    loose: dict[str, str]
    """The ids of other files, by path."""
    labels: list[str]
    listed: dict[int, str]
    """The lines of a label file for places of data/raw, without the name, by the places' number."""
    below: list[str]
    """The lines of a label file in the folder cat."""
    columns: Columns
    strip: dict[str, int]
    mapping: list[tuple[str, str]]
    unusable: set[str]
    passing: set[str]
    """The paths of files that cannot be read now."""
    changed: set[str]
    """The archives with a member that turns out to be broken."""
    known: set[str]


worlds = st.builds(
    World,
    archives=st.fixed_dictionaries(
        {one: st.lists(plain | plain | plain | refused | odd, min_size=1, max_size=8) for one in ARCHIVES}
    ),
    where=st.dictionaries(st.sampled_from(PATHS), st.sampled_from(ARCHIVES)),
    loose=st.dictionaries(names.filter(lambda name: not is_archive(name)), ids, max_size=8),
    labels=st.just([]) | st.lists(st.sampled_from(LABELS), unique=True) | st.lists(st.sampled_from(LABELS[10:])),
    listed=st.just({}) | st.dictionaries(st.integers(0, 15), st.sampled_from(["dog", "wolf,north", "fox,south"])),
    below=st.just([]) | st.lists(st.sampled_from(BELOW), unique=True),
    columns=st.sampled_from([Columns(), Columns(), Columns(path="image")]),
    strip=st.sampled_from([{}, {}, {"*.zip": 1}, {"My*": 1}, {"a.zip": 0}]),
    mapping=st.lists(st.sampled_from([("Emu", "dog"), ("cat", ""), ("wolf", "dog")]), unique=True),
    unusable=st.just(set()) | st.sets(ids),
    passing=st.just(set()) | st.sets(st.sampled_from([*PATHS, "cat/1.png", "dog/2.PNG"])),
    changed=st.just(set()) | st.sets(st.sampled_from(ARCHIVES)),
    known=st.sets(ids),
)


def placed(world: World) -> Iterator[tuple[str, str | None]]:
    """Return the paths and members of all places."""
    yield from ((path, None) for path in world.loose)
    yield from ((path, one.name) for path, md5 in world.where.items() for one in world.archives[md5])


def read(world: World, folder: str) -> Labels:
    """Return the content of the label files."""
    path = Path(folder, "labels.csv")
    members = {source for one in placed(world) if (source := source_of(*one)).isprintable()}
    own = [f"{source},{world.listed[at]}" for at, source in enumerate(sorted(members)) if at in world.listed]
    files = {path.name: world.labels + own, "cat/labels.csv": world.below}
    for name, lines in files.items():
        if lines:
            where = Path(folder, name)
            where.parent.mkdir(exist_ok=True)
            where.write_text(f"{world.columns.path},label,site\n" + "".join(f"{line}\n" for line in lines))
    return Labels.read(path, files=[*files], strip=world.strip, columns=world.columns, classes={"dog"})


def outcome(world: World, contents: Catalogue, folder: str, *, in_columns: bool) -> Any:
    """Return all results of ingest: new images, what they become, reports about labels, and what is written."""
    files = [RawFile(*one) for one in sorted({**world.where, **world.loose}.items())]
    labels, mapping = read(world, folder), ClassMapping(world.mapping)
    settled = Settled.among(files, contents, labels) if in_columns else Settled.none(files, contents)
    unread = list(find(settled, contents, labels, Knowledge(), mapping).unread(Ids.sorted_of(world.known)))
    for one in unread:
        if one.id is None:  # After reading, no place is unread.
            contents[world.where[one.place.path]][one.place.position].refusal = BROKEN
    for archive in world.changed:
        for member in contents[archive][:1]:
            member.id, member.refusal, member.doubt = None, BROKEN, ""
    passing = {one.place: GONE for one in unread if one.place.path in world.passing}
    unusable = dict.fromkeys(world.unusable, Refusal("truncated", "y"))
    found = find(settled, contents, labels, Knowledge(unusable, passing), mapping)
    images, lines, copies = resolve(found.others, found.table())
    by_place = copies.sort_by([(name, "ascending") for name in copies.column_names]).to_pylist()
    told = labels.unused, labels.clashes
    return unread, images.to_pylist(), sorted(lines), by_place, told, catalogue_table(contents).to_pylist()


@given(worlds)
def test_columns_say_what_objects_say(world: World) -> None:
    """Columns and objects give the same results for any content of data/raw."""
    for listed in world.archives.values():
        said = {member.name: member.line for member in listed}  # Label files refer to members by name.
        for position, member in enumerate(listed):
            member.position, member.line = position, said[member.name]
    with TemporaryDirectory() as folder:
        path = Path(folder, "members.parquet")
        table = catalogue_table(world.archives)
        pq.write_table(table, path)
        one = outcome(world, read_catalogue(path), folder, in_columns=True)
        other = outcome(world, Catalogue(world.archives), folder, in_columns=False)
    assert one == other
