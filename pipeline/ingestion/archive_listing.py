"""Lists the members of an archive without decoding them, with the labels that the archive contains for them."""

from itertools import islice
from pathlib import Path

from pipeline.errors import ImagesError, one_line
from pipeline.ingestion.catalogue import LABEL_FILE, PLAIN, UNSUPPORTED, UNUSABLE_LABELS, CatalogueMember, Listing
from pipeline.ingestion.decoding import MAX_FILE
from pipeline.ingestion.labelling.carried import carried_labels
from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.labels import is_system_file
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking import archives
from pipeline.ingestion.unpacking.archive_names import is_archive, other_archive
from pipeline.ingestion.unpacking.members import ArchiveMember, BombError, most_unpacked

# Each listed member takes half a kilobyte of memory in each process that reads the archive.
MAX_MEMBERS = 500_000
# Details for members that cannot be read.
UNREADABLE = {
    "encrypted": "it needs a password; unpack it, or pack it without one",
    "not a file": "a link, a device or a pipe; pack the file itself",
}


def listed_again(known: list[CatalogueMember], path: Path, listing: Listing) -> list[CatalogueMember]:
    """List the archive `path` again; return the `known` members, updated, or the new ones if their names differ."""
    now = list_archive(path, listing)
    if any(member.refusal and member.refusal.is_passing for member in now):
        return known
    if [member.name for member in now] != [member.name for member in known]:
        return now
    for member, again in zip(known, now, strict=True):
        member.doubt, member.line = "" if member.refusal else again.doubt, again.line
    return known


def list_archive(path: Path, listing: Listing = PLAIN) -> list[CatalogueMember]:
    """Return the members of the archive `path`, not decoded; unsafe or unsupported ones are refused."""
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
        # Members before the damage may be intact.
        members.append(CatalogueMember("", len(members), refusal=Refusal("broken archive", one_line(error))))
    if len(members) > MAX_MEMBERS:
        detail = f"more than {MAX_MEMBERS:,} files; put them into several archives"
        return [CatalogueMember("", 0, refusal=Refusal("too large", detail))]
    if unpacked > most_unpacked(path):
        detail = f"{path.stat().st_size} bytes would unpack to {unpacked}"
        return [CatalogueMember("", 0, refusal=Refusal("archive bomb", detail))]
    return _labelled(path, members, listing)


def _labelled(path: Path, members: list[CatalogueMember], listing: Listing) -> list[CatalogueMember]:
    """Return `members` with the labels from label files among them; the label files are marked as such."""
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
        return Refusal(member.unreadable, UNREADABLE[member.unreadable])
    if is_archive(member.name) or other_archive(member.name):
        return Refusal("nested archive", "put it into data/raw by itself")
    if member.size > MAX_FILE:
        return Refusal("too large", f"{member.size} bytes")
    return None
