"""Copy an archive without some of its members. All other bytes are copied unchanged; nothing is unpacked.

Members that could not be packed again, such as encrypted ones, therefore stay intact.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, BinaryIO

from pipeline.ingestion.unpacking.archives import is_zip
from pipeline.ingestion.unpacking.zips import files_of

CHUNK = 2**20
# Zip: the fixed part of a central directory record (APPNOTE 4.3.12); name, extra field and comment follow it.
RECORD = struct.Struct("<4s6H3L5H2L")
OFFSET_AT = 42
# Placeholders for numbers that do not fit, which are then in extra field 1 (4.5.3) or in the Zip64 end record.
ELSEWHERE = 2**32 - 1
MANY = 2**16 - 1


def write_remainder(path: Path, dropped: set[int], new: Path) -> None:
    """Write the archive `path` to the file `new`, without the members at the positions `dropped`.

    The positions are those of `archives.Member`. Raises one of `archives.BROKEN` if the archive is damaged.
    """
    with new.open("wb") as out:
        if is_zip(path):
            _write_zip(path, dropped, out)
        else:
            _write_tar(path, dropped, out)


def _write_zip(path: Path, dropped: set[int], out: BinaryIO) -> None:
    with path.open("rb") as old, zipfile.ZipFile(old) as archive:
        infos, start = archive.infolist(), archive.start_dir
        records = _records(old, start, len(infos))
        files = files_of(archive)
        gone = {id(files[position]) for position in dropped}
        kept = [(info, record) for info, record in zip(infos, records, strict=True) if id(info) not in gone]
        # Each member is copied up to the next header, with anything that may follow its data.
        starts = sorted({info.header_offset for info in infos})
        ends = dict(zip(starts, [*starts[1:], start], strict=True))
        moved = {}
        for begin in sorted({info.header_offset for info, _ in kept}):
            moved[begin] = out.tell()
            _copy(old, begin, ends[begin], out)
        _end_zip(out, [_moved(record, moved[info.header_offset]) for info, record in kept], archive.comment)


def _records(old: BinaryIO, start: int, count: int) -> list[bytes]:
    old.seek(start)
    directory, records, position = old.read(), [], 0
    for _ in range(count):
        name, extra, comment = RECORD.unpack_from(directory, position)[10:13]
        end = position + RECORD.size + name + extra + comment
        records.append(directory[position:end])
        position = end
    return records


def _moved(record: bytes, offset: int) -> bytes:
    """Return the directory record of a member, updated for its new `offset` in bytes."""
    *_, packed, unpacked, name, extra, _, _, _, _, before = RECORD.unpack_from(record)
    if before != ELSEWHERE:
        return _patched(record, OFFSET_AT, struct.pack("<L", offset))
    position = RECORD.size + name
    while position + 4 <= RECORD.size + name + extra:
        kind, size = struct.unpack_from("<2H", record, position)
        if kind == 1:
            sizes = (packed, unpacked).count(ELSEWHERE)
            return _patched(record, position + 4 + 8 * sizes, struct.pack("<Q", offset))
        position += 4 + size
    raise zipfile.BadZipFile("a member's place is missing")


def _patched(record: bytes, position: int, value: bytes) -> bytes:
    return record[:position] + value + record[position + len(value) :]


def _end_zip(out: BinaryIO, records: list[bytes], comment: bytes) -> None:
    start, count, size = out.tell(), len(records), sum(map(len, records))
    out.writelines(records)
    if count >= MANY or max(start, size) >= ELSEWHERE:
        out.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start))
        out.write(struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1))
    count, size, start = min(count, MANY), min(size, ELSEWHERE), min(start, ELSEWHERE)
    out.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, start, len(comment)) + comment)


def _write_tar(path: Path, dropped: set[int], out: BinaryIO) -> None:
    # Members after an end-of-archive mark are listed, too.
    with tarfile.open(path, errors="surrogateescape", ignore_zeros=True) as archive:
        spans = [(info, archive.offset) for info in archive]
        old: Any = archive.fileobj
        files = [info for info, _ in spans if not info.isdir()]
        gone = {id(files[position]) for position in dropped}
        with _packed_like(old, out) as new:
            size = _copy(old, 0, spans[0][0].offset, new)
            for info, end in spans:
                if id(info) not in gone:
                    size += _copy(old, info.offset, end, new)
            size += new.write(bytes(2 * tarfile.BLOCKSIZE))
            new.write(bytes(-size % tarfile.RECORDSIZE))


def _packed_like(old: Any, out: BinaryIO) -> AbstractContextManager[IO[bytes]]:
    """Return `out`, or a file that compresses into it in the format of `old`, without date and name."""
    if isinstance(old, gzip.GzipFile):
        packed: Any = gzip.GzipFile("", "wb", fileobj=out, mtime=0)
        return packed  # type: ignore[no-any-return] # it has the methods of IO[bytes]
    if isinstance(old, bz2.BZ2File):
        return bz2.BZ2File(out, "wb")
    if isinstance(old, lzma.LZMAFile):
        return lzma.LZMAFile(out, "wb")
    return nullcontext(out)


def _copy(old: IO[bytes], begin: int, end: int, new: IO[bytes]) -> int:
    """Copy the bytes of `old` from `begin` to `end`; return their number."""
    old.seek(begin)
    left = end - begin
    while left:
        chunk = old.read(min(left, CHUNK))
        if not chunk:
            raise EOFError("the archive ends too early")
        new.write(chunk)
        left -= len(chunk)
    return end - begin
