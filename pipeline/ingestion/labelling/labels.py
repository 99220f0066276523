"""Which class an image belongs to: what files of labels say, else the first folder below data/raw.

Archives are seen through: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
"""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pipeline import paths
from pipeline.ingestion.labelling.class_names import label_of
from pipeline.ingestion.labelling.label_index import LabelIndex
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine, LabelTable
from pipeline.ingestion.labelling.strips import Strips

LABELS = "labels.csv"
# Between an archive's path and the name of a member, as in JAR addresses.
MEMBER = "!/"
SYSTEM_FILES = {".DS_Store", "Icon\r", "Thumbs.db", "desktop.ini", ".gitignore", ".gitkeep", ".dvcignore"}
NOWHERE: Mapping[str, int] = MappingProxyType({})
USUAL = Columns()


class Labels:
    """The class of each place in data/raw.

    A line of labels.csv names a source, `cat/1.png` or `more.zip!/dog/b.jpg`, or is a glob over sources in which `*`
    stands for anything, slashes included.
    """

    def __init__(
        self,
        *,
        strip: Mapping[str, int] = NOWHERE,
        columns: Columns = USUAL,
        classes: Container[str] | None = None,
    ) -> None:
        """No file of labels yet; `strip` is `ingest.strip`.

        `classes` are those that are known from before; None where a folder's name is taken for a class without a doubt.
        """
        self.classes = classes
        self._strips = Strips(strip)
        self._index = LabelIndex(bare=columns.path != USUAL.path)

    @classmethod
    def read(
        cls,
        path: Path = paths.RAW / LABELS,
        *,
        strip: Mapping[str, int] = NOWHERE,
        columns: Columns = USUAL,
        classes: Container[str] | None = None,
    ) -> Self:
        """What the file `path` says; nothing where there is none. The rest is as for `Labels` itself.

        Raises:
            ImagesError: it cannot be read, see `LabelTable`.
        """
        labels = cls(strip=strip, columns=columns, classes=classes)
        if path.exists():
            with path.open("rb") as file:
                labels._index.add(path.name, LabelTable(path, file, columns).rows())
        return labels

    def settle(self, sources: Iterable[str]) -> None:
        """See `LabelIndex`."""
        self._index.settle(sources)

    def of(self, path: str, member: str | None) -> str | None:
        """The class of an image, or None where it lies outside any class folder and labels.csv is silent."""
        return self.find(path, member).label

    def find(self, path: str, member: str | None) -> LabelLine:
        """The same, and what else the line says that says the class."""
        return self.listed(path, member) or LabelLine(label_of(path, member, self._strips.of(path) or 0))

    def listed(self, path: str, member: str | None) -> LabelLine | None:
        """What labels.csv says of an image, None where it is silent."""
        return self._index.find(source_of(path, member)) if self._index else None

    def is_certain(self, path: str, member: str | None) -> bool:
        """Whether labels.csv says the class of an image, or `ingest.strip` which of its folders does."""
        return self._strips.of(path) is not None or self.listed(path, member) is not None

    @property
    def unused(self) -> list[str]:
        """The lines that no place has matched so far."""
        return self._index.unused

    @property
    def clashes(self) -> list[str]:
        """See `LabelIndex`."""
        return self._index.clashes

    @property
    def is_in_vain(self) -> bool:
        """Whether there are lines, and no place has matched any so far."""
        return 0 < len(self._index) == len(self.unused)


def source_of(path: str, member: str | None) -> str:
    """How an image is named to people: its file in data/raw, with the member's name if that is an archive."""
    return f"{path}{MEMBER}{member}" if member else path


def is_system_file(name: str) -> bool:
    """Whether an operating system has left the file `name` (of any folder) behind."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
