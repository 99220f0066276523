"""Reads zip archives."""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.ingestion.unpacking.members import ArchiveMember
from pipeline.ingestion.unpacking.zip_names import name_of

# The longest end-of-central-directory record: 22 bytes and a comment.
MAX_END = 22 + 2**16


def files_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members of `archive` that are not folders, in its own order."""
    return [info for info in archive.infolist() if not name_of(info).text.endswith("/")]


class ZipArchive:
    """An open zip."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self._file = zipfile.ZipFile(path)
        self._infos = files_of(self._file)

    def members(self) -> Iterator[ArchiveMember]:
        """Yield the archive's files, see `Archive.members`."""
        for position, info in enumerate(self._infos):
            name, unreadable = name_of(info, self._encoding), "encrypted" if info.flag_bits & 1 else ""
            yield ArchiveMember(name.text, position, info.file_size, unreadable, name.doubt)
        self._check_start()

    def read(self, position: int, limit: int) -> bytes:
        """Return bytes of a member, see `Archive.read`."""
        with self._file.open(self._infos[position]) as file:
            return file.read(limit)

    def _check_start(self) -> None:
        """Check that no other zip precedes this one in the file: the central directory does not list its members.

        The other zip may be complete, or it may be cut off in the middle of a nested zip.

        Raises:
            zipfile.BadZipFile: there is one.
        """
        start = min((info.header_offset for info in self._file.infolist()), default=self._file.start_dir)
        window = max(start - MAX_END, 0)
        with self._path.open("rb") as file:
            file.seek(window)
            before = file.read(start - window)
            end = before.rfind(b"PK\5\6")
            if not 0 <= end <= len(before) - 22:
                file.seek(0)
                if start and file.read(4) == b"PK\3\4":
                    raise zipfile.BadZipFile(
                        "it begins with files that its central directory does not list; it may be cut off"
                    )
                return
            count, size = struct.unpack_from("<HL", before, end + 10)
            file.seek(max(window + end - size, 0))
            # A self-extracting program contains that signature, too, but no central directory before it.
            is_zip = file.read(4) == b"PK\1\2"
        if count and is_zip:
            what = f"{count} files are in another zip that comes before it in the same file"
            raise zipfile.BadZipFile(f"{what}; make one archive of both")
