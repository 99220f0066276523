"""What a member of a zip is called: zips say too little of the encoding of names."""

import struct
import zlib
from contextlib import suppress
from typing import NamedTuple
from zipfile import ZipInfo

from pipeline.ingestion.unpacking.members import with_folders

IS_UTF8 = 0x800
# The extra field that holds the name in UTF-8 (4.6.9).
UNICODE_PATH = 0x7075
# What the specification says of names without a flag.
USUAL = "cp437"
DOUBT = "is in an encoding that the zip does not name"


class ZipName(NamedTuple):
    """The name of a member."""

    text: str
    doubt: str
    """Why it may be another one, else empty."""


def name_of(info: ZipInfo, encoding: str = USUAL) -> ZipName:
    """What `info` is called.

    Without a flag, bytes that are UTF-8 are UTF-8, as Info-ZIP and old versions of macOS write them; else they are in
    `encoding`. Code page 437 is what the specification says, and what few programs do, so that it is doubtful.
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
    """The name that `extra` holds, if it is that of the name `raw`."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return field[5:]
    return None
