"""An archive from which members are removed keeps all other bytes."""

import bz2
import gzip
import lzma
import struct
import tarfile
import warnings
import zipfile
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.data import remainder
from pipeline.commands.data.remainder import write_remainder
from pipeline.ingestion.unpacking.archives import open_archive

FILES = [("cat/1.png", b"first" * 300), ("dog/2.png", bytes(range(256)) * 20), ("cat/déjà vu.png", b""), ("x", b"x")]
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}
ZIPS = {
    ".zip": zipfile.ZIP_STORED,
    ".deflated.zip": zipfile.ZIP_DEFLATED,
    ".bzip2.zip": zipfile.ZIP_BZIP2,
    ".lzma.ZIP": zipfile.ZIP_LZMA,
}


def make(path: Path, files: list[tuple[str, bytes]], **options: Any) -> Path:
    """Write an archive of the kind that the suffix of `path` names, with a folder in it."""
    kind = next(suffix for suffix in reversed([*ZIPS, *TARS]) if path.name.endswith(suffix))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Repeated names.
        if kind in ZIPS:
            with zipfile.ZipFile(path, "w", ZIPS[kind]) as file:
                file.comment = b"a comment"
                file.mkdir("cat")
                for name, data in files:
                    file.writestr(zipfile.ZipInfo(name), data, ZIPS[kind])
            return path
    with tarfile.open(path, TARS[kind], **options) as tar:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("cat")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    return path


def contents(path: Path) -> list[tuple[str, bytes]]:
    """Return the names and bytes of the members of the archive `path`."""
    archive = open_archive(path)
    return [(member.name, archive.read(member.position, 10**6)) for member in archive.members()]


def without(path: Path, *positions: int) -> Path:
    """Write the archive `path` without the members at `positions` to a new file."""
    new = path.with_name(f"new-{path.name}")
    write_remainder(path, set(positions), new)
    return new


@pytest.mark.parametrize("suffix", [*ZIPS, *TARS])
def test_the_others_stay(tmp_path: Path, suffix: str) -> None:
    """The remaining members keep their names, bytes and order, and the result is reproducible."""
    path = make(tmp_path / f"a{suffix}", FILES)
    for gone in range(2 ** len(FILES) - 1):
        dropped = [position for position in range(len(FILES)) if gone >> position & 1]
        new = without(path, *dropped)
        assert contents(new) == [file for position, file in enumerate(FILES) if position not in dropped]
        assert new.read_bytes() == without(path, *dropped).read_bytes()
    if suffix in ZIPS:
        with zipfile.ZipFile(new) as file:
            assert file.testzip() is None
            assert (file.comment, file.namelist()[0]) == (b"a comment", "cat/")
            assert {info.compress_type for info in file.infolist()[1:]} == {ZIPS[suffix]}


@pytest.mark.parametrize(("suffix", "module"), [(".tar.gz", gzip), (".tar.bz2", bz2), (".tar.xz", lzma)])
def test_compression_stays(tmp_path: Path, suffix: str, module: Any) -> None:
    """A compressed archive stays compressed, and ends as tar files do."""
    new = without(make(tmp_path / f"a{suffix}", FILES), 0)
    with module.open(new) as file:
        data = file.read()
    assert len(data) % tarfile.RECORDSIZE == 0
    assert data.endswith(bytes(1024))


@given(st.lists(st.tuples(st.text(min_size=1), st.binary(max_size=2000)), min_size=1, max_size=8), st.data())
@pytest.mark.parametrize("suffix", [".zip", ".deflated.zip", ".tar", ".tar.gz"])
def test_any_names_and_bytes(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, files: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    """Removing works for any names, also repeated ones, and any bytes."""
    names = (name.encode(errors="replace").decode().replace("\0", "0") for name, _ in files)
    # A name that ends in a slash or backslash is a folder.
    files = [(name.rstrip("/\\") or "x", raw) for name, (_, raw) in zip(names, files, strict=True)]
    path = make(tmp_path_factory.mktemp("any") / f"a{suffix}", files)
    before = contents(path)
    dropped = data.draw(st.sets(st.integers(0, len(files) - 1)))
    assert contents(without(path, *dropped)) == [file for n, file in enumerate(before) if n not in dropped]


class _Pipe(RawIOBase):
    """A stream that cannot seek, so that zipfile writes sizes after the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(bytes(data))


def test_zip_streams(tmp_path: Path) -> None:
    """A zip file whose sizes follow the data keeps them there."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in FILES:
            file.writestr(name, data)
    path = tmp_path / "a.zip"
    path.write_bytes(pipe.data)
    assert contents(without(path, 1)) == [FILES[0], *FILES[2:]]


def test_zip_with_something_before_it(tmp_path: Path) -> None:
    """A self-extracting zip file keeps its images."""
    path = make(tmp_path / "a.zip", FILES)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert contents(without(path, 0)) == FILES[1:]


def test_zip_with_names_in_the_old_encoding(tmp_path: Path) -> None:
    """Names in code page 437 stay readable."""
    path = make(tmp_path / "a.zip", [("caf?.png", b"1"), ("x.png", b"2")])
    path.write_bytes(path.read_bytes().replace(b"caf?", b"caf\x82"))
    assert contents(without(path, 1)) == [("café.png", b"1")]


def test_zip_members_that_cannot_be_read_stay(tmp_path: Path) -> None:
    """A damaged member does not prevent the removal of another one, and its bytes do not change."""
    path = make(tmp_path / "a.zip", FILES)
    path.write_bytes(path.read_bytes().replace(b"firstfirst", b"FIRSTfirst", 1))
    new = without(path, 1)
    assert b"FIRSTfirst" in new.read_bytes()
    with zipfile.ZipFile(new) as file, pytest.raises(zipfile.BadZipFile):
        file.read("cat/1.png")


def test_large_zips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More members than 16 bits can count, and offsets beyond 32 bits, are written as zip64."""
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for number in range(2**16 + 2):
            file.writestr(str(number), b"")
    new = without(tmp_path / "many.zip", 5)
    with zipfile.ZipFile(new) as file:
        assert len(file.infolist()) == 2**16 + 1
    whole = struct.pack("<4s6H3L5H2L", b"PK\1\2", 0, 0, 0, 0, 0, 0, 0, 1, 2**32 - 1, 1, 20, 0, 0, 0, 0, 2**32 - 1)
    whole += b"x" + struct.pack("<2H2Q", 1, 16, 2**33, 2**34)
    assert struct.unpack("<2Q", remainder._moved(whole, 77)[-16:]) == (2**33, 77)
    with pytest.raises(zipfile.BadZipFile):
        remainder._moved(whole[:-20] + struct.pack("<2H2Q", 9, 16, 2**33, 2**34), 77)
    monkeypatch.setattr(remainder, "ELSEWHERE", 100)  # As if offsets above 100 bytes did not fit.
    out = BytesIO()
    out.write(bytes(200))
    remainder._end_zip(out, [], b"")
    assert b"PK\6\6" in out.getvalue()


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_tars(tmp_path: Path, kind: int) -> None:
    """Headers with long names are kept or removed with their member."""
    files = [(f"cat/{letter * 300}é.png", letter.encode()) for letter in "abc"]
    path = make(tmp_path / "a.tar", files, format=kind)
    assert contents(without(path, 0)) == files[1:]
    assert contents(without(path, 1)) == [files[0], files[2]]
    assert b"aaaa" not in without(path, 0).read_bytes()


def test_broken_archives(tmp_path: Path) -> None:
    """An unreadable archive raises an exception."""
    path = make(tmp_path / "a.tar.gz", FILES)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((EOFError, OSError, tarfile.TarError)):
        without(path, 0)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_what_comes_behind_the_end_of_a_tar_stays(tmp_path: Path, suffix: str) -> None:
    """Of two concatenated tars in one file, nothing else is lost when a member of either is removed."""
    path = tmp_path / f"both{suffix}"
    first, second = make(tmp_path / f"a{suffix}", FILES), make(tmp_path / f"b{suffix}", FILES[:2])
    path.write_bytes(first.read_bytes() + second.read_bytes())
    files = FILES + FILES[:2]
    for gone in range(len(files)):
        assert contents(without(path, gone)) == files[:gone] + files[gone + 1 :]
