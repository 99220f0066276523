"""Names of zip members are decoded as whoever packed them saw them."""

import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest

from pipeline.ingestion.unpacking.archives import open_archive
from pipeline.ingestion.unpacking.zip_names import DOUBT


def packed(path: Path, name: bytes, *, system: int = 3, extra: bytes = b"", flag: bool = False) -> Path:
    """Write a zip whose only member has this name."""
    stand_in = "é" * (len(name) // 2) + "x" * (len(name) % 2) if flag else "x" * len(name)
    info = zipfile.ZipInfo(stand_in)
    info.create_system, info.extra = system, extra
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"1")
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), name))
    return path


def told(path: Path, encoding: str = "cp437") -> tuple[str, str]:
    """Return the name of the only member and its doubts, after reading its bytes."""
    archive = open_archive(path, encoding)
    (member,) = archive.members()
    assert archive.read(0, 9) == b"1"
    return member.name, member.doubt


def unicode_path(raw: bytes, name: str) -> bytes:
    """Return the extra field with the UTF-8 form of the name `raw`."""
    data = b"\1" + struct.pack("<L", zlib.crc32(raw)) + name.encode()
    return struct.pack("<2H", 0x7075, len(data)) + data


def test_utf8_without_the_flag(tmp_path: Path) -> None:
    """UTF-8 without a flag, as Info-ZIP and old versions of macOS write, gives `café`, not `caf├⌐`."""
    assert told(packed(tmp_path / "a.zip", "café/1.png".encode())) == ("café/1.png", "")


def test_utf8_with_the_flag(tmp_path: Path) -> None:
    """UTF-8 with the flag is read as it is."""
    assert told(packed(tmp_path / "a.zip", "éé/1.png".encode(), flag=True))[1] == ""


def test_other_encodings_are_doubtful(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are read as code page 437, and marked as uncertain."""
    assert told(packed(tmp_path / "a.zip", b"caf\x82/1.png")) == ("café/1.png", DOUBT)


def test_unicode_path(tmp_path: Path) -> None:
    """The extra field with the UTF-8 name is used if it belongs to this name."""
    raw = b"caf\xe9/1.png"
    assert told(packed(tmp_path / "a.zip", raw, extra=unicode_path(raw, "café/1.png"))) == ("café/1.png", "")
    assert told(packed(tmp_path / "a.zip", raw, extra=unicode_path(b"old", "dog/1.png")))[1] == DOUBT


@pytest.mark.parametrize(
    ("system", "name", "expected"),
    [
        (0, b"cat\\1.png", "cat/1.png"),
        (10, b"cat\\old\\1.png", "cat/old/1.png"),
        (3, b"cat\\1.png", "cat/1.png"),
        (0, b"cat/a\\1.png", "cat/a\\1.png"),
    ],
)
def test_backslashes(tmp_path: Path, system: int, name: bytes, expected: str) -> None:
    r"""`\` separates folders in names without a slash, whatever system the zip names."""
    assert told(packed(tmp_path / "a.zip", name, system=system))[0] == expected


def test_folders_of_windows_are_no_members(tmp_path: Path) -> None:
    """A folder's entry may end in a backslash."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        for name in ("cat\\", "cat\\1.png"):
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            archive.writestr(info, b"" if name.endswith("\\") else b"1")
    assert told(path) == ("cat/1.png", "")


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp850", "Kühe/1.png"), ("shift_jis", "表/1.png"), ("cp1251", "кот/1.png")]
)
def test_encoding_that_is_known(tmp_path: Path, encoding: str, name: str) -> None:
    """Names that are not UTF-8 are read by `ingest.encoding`, and are not uncertain."""
    assert told(packed(tmp_path / "a.zip", name.encode(encoding)), encoding) == (name, "")
    assert told(packed(tmp_path / "b.zip", name.encode()), encoding) == (name, "")


def test_encoding_that_does_not_fit(tmp_path: Path) -> None:
    """A name that does not fit the encoding is read as code page 437, and is uncertain."""
    assert told(packed(tmp_path / "a.zip", b"caf\x82/1.png"), "shift_jis") == ("café/1.png", DOUBT)
