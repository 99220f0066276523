"""Zip archives."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.ingestion.unpacking.members import ArchiveMember
from pipeline.ingestion.unpacking.zip_names import name_of

# A zip's last record: 22 bytes, and a comment.
MAX_END = 22 + 2**16


def files_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of `archive` that are no folders, in its own order."""
    return [info for info in archive.infolist() if not name_of(info).text.endswith("/")]


class ZipArchive:
    """An open zip."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = zipfile.ZipFile(path)
        self._infos = files_of(self._file)

    def members(self) -> Iterator[ArchiveMember]:
        """See `Archive`."""
        for position, info in enumerate(self._infos):
            name, unreadable = name_of(info), "encrypted" if info.flag_bits & 1 else ""
            yield ArchiveMember(name.text, position, info.file_size, unreadable, name.doubt)
        self._check_start()

    def read(self, position: int, limit: int) -> bytes:
        """See `Archive`."""
        with self._file.open(self._infos[position]) as file:
            return file.read(limit)

    def _check_start(self) -> None:
        """See that no other zip comes before this one in the file: the list at the end does not name its members."""
        start = min((info.header_offset for info in self._file.infolist()), default=self._file.start_dir)
        with self._path.open("rb") as file:
            file.seek(max(start - MAX_END, 0))
            before = file.read(min(start, MAX_END))
        end = before.rfind(b"PK\5\6")
        count = int.from_bytes(before[end + 10 : end + 12], "little") if end >= 0 else 0
        if count:
            what = f"{count} files are in another zip that comes before it in the same file"
            raise zipfile.BadZipFile(f"{what}; make one archive of both")
