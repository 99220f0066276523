"""The images of data/raw that are known without reading it: those that ingest has read or `add` has added since."""

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

# Member names in the archives that `pipeline add` makes.
ADDED_MEMBER = re.compile(r"(?P<label>[^/]+)/(?P<id>[0-9a-f]{32})\.[a-z0-9]+")


class KnownImages:
    """The known images of data/raw, by id."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is the parameter `ingest.encoding`."""
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
        """The ids of all usable images that are, or were, in data/raw."""
        return {*self._ingested, *self._added}

    @property
    def classes(self) -> Counter[str]:
        """The number of these images in each class."""
        return Counter(label for label, _ in {**self._added, **self._ingested}.values())

    def find(self, image_id: str) -> tuple[str, str] | None:
        """Return the class and source of an image; None if it is not, or no longer, in data/raw."""
        for images in (self._ingested, self._added):
            if (found := images.get(image_id)) is not None and self._stands(found[1]):
                return found
        return None

    def _stands(self, source: str) -> bool:
        """Whether `source` still exists, as a loose file or in an archive."""
        if source in self._absent or (paths.RAW / source).is_file():
            return True
        if any(source in self._members_of(archive) for archive in self._packed):
            return True
        archive, member = place_of(source)
        if archive in self._absent:  # The ingest run that read the archive found the member in it.
            return True
        return member is not None and (paths.RAW / archive).is_file() and member in self._members_of(archive)

    def _members_of(self, archive: str) -> set[str]:
        if archive not in self._members:
            self._members[archive] = set(self._names(archive))
        return self._members[archive]

    def _names(self, archive: str) -> Iterator[str]:
        with suppress(*archives.BROKEN):  # In a damaged archive, the members before the damage count.
            yield from (member.name for member in archives.open_archive(paths.RAW / archive, self._encoding).members())
