"""Decodes the names of zip members, whose encoding zips often do not declare."""

import struct
import zlib
from contextlib import suppress
from typing import NamedTuple
from zipfile import ZipInfo

from pipeline.ingestion.unpacking.members import with_folders

IS_UTF8 = 0x800
# The extra field that holds the name in UTF-8 (APPNOTE 4.6.9).
UNICODE_PATH = 0x7075
# The encoding that the specification prescribes for names without the UTF-8 flag.
USUAL = "cp437"
DOUBT = "is in an encoding that the zip does not name"


class ZipName(NamedTuple):
    """The decoded name of a zip member."""

    text: str
    doubt: str
    """Why the name may be wrong; empty if it is certain."""


def name_of(info: ZipInfo, encoding: str = USUAL) -> ZipName:
    """Return the name of the member `info`.

    A name without the UTF-8 flag is decoded as UTF-8 if it is valid UTF-8, as Info-ZIP and old versions of macOS write
    it, else by `encoding`. A name in code page 437 is reported as doubtful: the specification prescribes that encoding,
    but few programs use it.
    """
    text, doubt = _decoded(info, encoding)
    return ZipName(with_folders(text), doubt)


def _decoded(info: ZipInfo, encoding: str) -> ZipName:
    if info.flag_bits & IS_UTF8:
        return ZipName(info.filename, "")
    raw = info.orig_filename.encode("cp437")
    try:
        text = (_unicode_path(info.extra, raw) or raw).decode()
    except UnicodeDecodeError:
        return _in_code_page(info, raw, encoding)
    return ZipName(text.partition("\0")[0], "")


def _in_code_page(info: ZipInfo, raw: bytes, encoding: str) -> ZipName:
    if encoding != USUAL:
        with suppress(UnicodeDecodeError):
            return ZipName(raw.decode(encoding).partition("\0")[0], "")
    return ZipName(info.filename, DOUBT)


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """Return the UTF-8 name in `extra`, if its checksum matches the name `raw`."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return field[5:]
    return None
