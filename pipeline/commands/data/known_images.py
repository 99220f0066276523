"""Which images data/raw holds, as far as is known unread: those that ingest saw, and what `add` put there since."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from pipeline import parquet, paths
from pipeline.commands.data.removal import absent_files
from pipeline.commands.data.workbench import ADDED, PACKED
from pipeline.images import index
from pipeline.ingestion.labelling.sources import MEMBER, place_of
from pipeline.ingestion.unpacking import archives

# What `pipeline add` calls the members of its archives.
ADDED_MEMBER = re.compile(r"(?P<label>[^/]+)/(?P<id>[0-9a-f]{32})\.[a-z0-9]+")


class KnownImages:
    """The images of data/raw, by id."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is `ingest.encoding`."""
        self._encoding = encoding
        self._absent = absent_files()
        table = parquet.read_table(index.INDEX, index.SCHEMA, ["id", "label", "source"])
        rows = zip(*(table[name].to_pylist() for name in ("id", "label", "source")), strict=True)
        self._ingested: dict[str, tuple[str, str]] = {image_id: (label, source) for image_id, label, source in rows}
        self._added: dict[str, tuple[str, str]] = {}
        self._members: dict[str, set[str]] = {}
        self._packed = sorted(path.name for path in paths.RAW.glob(f"{PACKED}-*.zip"))
        for path in sorted(paths.RAW.glob(f"{ADDED}-*.zip")):
            for match in filter(None, map(ADDED_MEMBER.fullmatch, self._names(path.name))):
                source = f"{path.name}{MEMBER}{match[0]}"
                self._added[match["id"]] = (match["label"], source)

    @property
    def ids(self) -> set[str]:
        """The images that are, or were, there and are usable."""
        return {*self._ingested, *self._added}

    @property
    def classes(self) -> Counter[str]:
        """The classes of those images, and how many are of each."""
        return Counter(label for label, _ in {**self._added, **self._ingested}.values())

    def find(self, image_id: str) -> tuple[str, str] | None:
        """The class of an image and where it lies, None where it is not in data/raw, or not any more."""
        for images in (self._ingested, self._added):
            if (found := images.get(image_id)) is not None and self._stands(found[1]):
                return found
        return None

    def _stands(self, source: str) -> bool:
        """Whether there is something in the place `source` still, be it loose or in an archive."""
        if source in self._absent or (paths.RAW / source).is_file():
            return True
        if any(source in self._members_of(archive) for archive in self._packed):
            return True
        archive, member = place_of(source)
        if archive in self._absent:  # The run that read it found the member there.
            return True
        return member is not None and (paths.RAW / archive).is_file() and member in self._members_of(archive)

    def _members_of(self, archive: str) -> set[str]:
        if archive not in self._members:
            self._members[archive] = set(self._names(archive))
        return self._members[archive]

    def _names(self, archive: str) -> Iterator[str]:
        with suppress(*archives.BROKEN):  # What comes before the damage counts.
            yield from (member.name for member in archives.open_archive(paths.RAW / archive, self._encoding).members())
