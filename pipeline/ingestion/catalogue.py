"""data/images/members.parquet: what each archive in data/raw holds, by the archive's own hash.

So an archive is read once, and renaming it costs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa

from pipeline import parquet, paths
from pipeline.errors import ImagesError, one_line
from pipeline.ingestion.decoding import MAX_FILE
from pipeline.ingestion.labelling.carried import carried_labels
from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.labels import is_system_file
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking import archives
from pipeline.ingestion.unpacking.archive_names import is_archive, other_archive
from pipeline.ingestion.unpacking.members import ArchiveMember, BombError, most_unpacked
from pipeline.ingestion.unpacking.zip_names import USUAL
from pipeline.params import Ingest

MEMBERS = paths.IMAGES / "members.parquet"
SCHEMA = pa.schema(
    {
        "archive": pa.string(),  # MD5 of the archive
        "position": pa.int32(),
        "member": pa.string(),  # empty where the row speaks of the archive as a whole
        "id": pa.string(),  # empty where the member could not be read
        "reason": pa.string(),  # why not, else empty
        "detail": pa.string(),  # beside a reason; without one, what is not certain of the member's name
    }
)
# Further ones, where an archive has files of labels.
LISTED = {name: pa.string() for name in LabelLine._fields}
# Each file that an archive lists takes half a kilobyte of memory in each process that reads it.
MAX_MEMBERS = 500_000
# To be raised whenever archives are listed otherwise: those that are here are listed again then, and not decoded again.
LISTING = "3"
UNSUPPORTED, UNUSABLE_LABELS = "unsupported archive", "unusable labels"
# A member that is no image, and no reason to complain.
LABEL_FILE = Refusal("file of labels", "says what the labels of other members are")


class Listing(NamedTuple):
    """How archives are listed: what `ingest` says of it."""

    encoding: str = USUAL
    """Of names in zips that do not say it."""
    columns: Columns = Columns()
    """Of files of labels in them."""

    @classmethod
    def of(cls, params: Ingest) -> Self:
        """That of `params`."""
        return cls(params.encoding, Columns(**params.columns))

    @property
    def name(self) -> str:
        """Another one where archives are listed otherwise."""
        return LISTING if self == PLAIN else f"{LISTING} {self.encoding} {self.columns.path} {self.columns.label}"


@dataclass(slots=True)
class CatalogueMember:
    """A member of an archive: its image's id, or why there is none; neither as long as it is unread."""

    name: str
    position: int
    id: str | None = None
    refusal: Refusal | None = None
    doubt: str = ""
    """What is not certain of its name."""
    line: LabelLine | None = None
    """What the archive says itself of its label."""


Catalogue = dict[str, list[CatalogueMember]]


PLAIN = Listing()


def read_catalogue(path: Path = MEMBERS) -> Catalogue:
    """The members of each known archive, by the archive's MD5, in the archive's order."""
    catalogue: Catalogue = {}
    columns = (column.to_pylist() for column in parquet.read_table(path, SCHEMA).columns)
    for archive, position, name, image_id, reason, detail, *listed in zip(*columns, strict=True):
        refusal, doubt = (Refusal(reason, detail), "") if reason else (None, detail)
        line = LabelLine(*listed) if listed and listed[0] else None
        member = CatalogueMember(name, position, image_id or None, refusal, doubt, line)
        catalogue.setdefault(archive, []).append(member)
    return catalogue


def catalogue_table(catalogue: Catalogue, listing: Listing = PLAIN) -> pa.Table:
    """`catalogue` as it is written to `MEMBERS`; an archive that could not be opened this time is left out.

    `listing` is how its archives were listed.
    """

    def rows() -> Iterator[tuple[str, CatalogueMember]]:
        for archive in sorted(catalogue):
            for member in catalogue[archive]:
                if not (member.refusal and member.refusal.is_passing):
                    yield archive, member

    columns = [
        parquet.strings(archive for archive, _ in rows()),
        parquet.integers(member.position for _, member in rows()),
        parquet.strings(member.name for _, member in rows()),
        parquet.strings(member.id or "" for _, member in rows()),
        parquet.strings(member.refusal.reason if member.refusal else "" for _, member in rows()),
        parquet.strings(member.refusal.detail if member.refusal else member.doubt for _, member in rows()),
    ]
    table = pa.Table.from_arrays(columns, schema=SCHEMA)
    if any(member.line for _, member in rows()):
        for name in LISTED:
            table = table.append_column(name, parquet.strings(getattr(member.line, name, "") for _, member in rows()))
    return table.replace_schema_metadata({"listing": listing.name}) if table.num_rows else table


def is_current(listing: Listing, path: Path = MEMBERS) -> bool:
    """Whether the archives that `path` knows were listed as they would be now, by `listing`."""
    table = parquet.read_table(path, SCHEMA, ["position"])
    return not table.num_rows or (table.schema.metadata or {}).get(b"listing") == listing.name.encode()


def is_supported(known: list[CatalogueMember]) -> bool:
    """Whether an archive of which this is `known` could be read; if not, another Python may read it."""
    return not (len(known) == 1 and known[0].refusal and known[0].refusal.reason == UNSUPPORTED)


def listed_again(known: list[CatalogueMember], path: Path, listing: Listing) -> list[CatalogueMember]:
    """What is `known` of the archive `path`, or what it holds by today's listing, unread, where that differs."""
    now = list_archive(path, listing)
    if any(member.refusal and member.refusal.is_passing for member in now):
        return known
    if [member.name for member in now] != [member.name for member in known]:
        return now
    for member, again in zip(known, now, strict=True):
        member.doubt, member.line = "" if member.refusal else again.doubt, again.line
    return known


def list_archive(path: Path, listing: Listing = PLAIN) -> list[CatalogueMember]:
    """The members of the archive `path`, unread; those that nobody should read are refused at once."""
    members: list[CatalogueMember] = []
    unpacked = 0
    try:
        archive = archives.open_archive(path, listing.encoding)
        for one in islice(archive.members(), MAX_MEMBERS + 1):
            members.append(CatalogueMember(one.name, one.position, refusal=_refusal(one), doubt=one.doubt))
            unpacked += max(one.size, 0)
    except BombError as error:
        return [CatalogueMember("", 0, refusal=Refusal("archive bomb", one_line(error)))]
    except archives.UnsupportedError as error:
        return [CatalogueMember("", 0, refusal=Refusal(UNSUPPORTED, one_line(error)))]
    except archives.BROKEN as error:
        if Refusal.is_of_place(error):
            return [CatalogueMember("", 0, refusal=Refusal.of_place(error))]
        # What comes before the damage may be good.
        members.append(CatalogueMember("", len(members), refusal=Refusal("broken archive", one_line(error))))
    if len(members) > MAX_MEMBERS:
        detail = f"more than {MAX_MEMBERS:,} files; put them into several archives"
        return [CatalogueMember("", 0, refusal=Refusal("too large", detail))]
    if unpacked > most_unpacked(path):
        detail = f"{path.stat().st_size} bytes would unpack to {unpacked}"
        return [CatalogueMember("", 0, refusal=Refusal("archive bomb", detail))]
    return _labelled(path, members, listing)


def _labelled(path: Path, members: list[CatalogueMember], listing: Listing) -> list[CatalogueMember]:
    """`members` with what files of labels among them say, which are no images."""
    if not any(member.refusal is None and is_label_file(member.name, listing.columns) for member in members):
        return members
    found = [(member.name, member.position) for member in members if member.refusal is None]
    try:
        carried = carried_labels(archives.open_archive(path, listing.encoding), found, listing.columns)
    except (ImagesError, *archives.BROKEN) as error:
        return [CatalogueMember("", 0, refusal=Refusal(UNUSABLE_LABELS, one_line(error)))]
    for member in members:
        member.line = carried.lines.get(member.name)
        if member.name in carried.refused:
            member.refusal = Refusal(UNUSABLE_LABELS, carried.refused[member.name])
        elif member.refusal is None and is_label_file(member.name, listing.columns):
            member.refusal = LABEL_FILE
    return members


def _refusal(member: ArchiveMember) -> Refusal | None:
    if is_system_file(member.name):
        return Refusal("system file", "left by an operating system")
    if archives.is_unsafe(member.name):
        return Refusal("unsafe name", "would be written outside the folder it is unpacked into")
    if member.unreadable:
        return Refusal(member.unreadable, "cannot be read out of the archive")
    if is_archive(member.name) or other_archive(member.name):
        return Refusal("nested archive", "put it into data/raw by itself")
    if member.size > MAX_FILE:
        return Refusal("too large", f"{member.size} bytes")
    return None
