"""What a member of a zip is called: zips say too little of the encoding of names, and of what separates folders."""

import struct
import zlib
from typing import NamedTuple
from zipfile import ZipInfo

IS_UTF8 = 0x800
# Systems on which a backslash separates folders (APPNOTE 4.4.2): FAT, NTFS by two numbers, VFAT.
WINDOWS = {0, 10, 11, 14}
# The extra field that holds the name in UTF-8 (4.6.9).
UNICODE_PATH = 0x7075
DOUBT = "is in an encoding that the zip does not name"


class ZipName(NamedTuple):
    """The name of a member."""

    text: str
    doubt: str
    """Why it may be another one, else empty."""


def name_of(info: ZipInfo) -> ZipName:
    """What `info` is called.

    Without a flag, bytes that are UTF-8 are UTF-8, as Info-ZIP and old versions of macOS write them; else they are
    taken for code page 437, as the specification has it, and that is doubtful.
    """
    text, doubt = _decoded(info)
    # As Info-ZIP has it: a name with slashes may hold a backslash, as the half of a Japanese letter say.
    if info.create_system in WINDOWS and "/" not in text:
        text = text.replace("\\", "/")
    return ZipName(text, doubt)


def _decoded(info: ZipInfo) -> ZipName:
    if info.flag_bits & IS_UTF8:
        return ZipName(info.filename, "")
    raw = info.orig_filename.encode("cp437")
    try:
        text = (_unicode_path(info.extra, raw) or raw).decode()
    except UnicodeDecodeError:
        return ZipName(info.filename, DOUBT)
    return ZipName(text.partition("\0")[0], "")


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """The name that `extra` holds, if it is that of the name `raw`."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return field[5:]
    return None
