"""Every member of an archive is found and read, and no claim of an archive is trusted."""

import gc
import gzip
import struct
import sys
import tarfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.ingestion.unpacking import members
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.ingestion.unpacking.archives import BROKEN, UnsupportedError, is_unsafe, open_archive
from pipeline.ingestion.unpacking.members import Archive, ArchiveMember, BombError
from pipeline.ingestion.unpacking.tars import printable

FILES = {"cat/1.png": b"first" * 300, "cat/déjà vu.png": b"", "dog/2.png": bytes(range(256)) * 20}
LIMIT = 10_000
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz", ".TAR": "w"}
ZIPS = {
    ".zip": zipfile.ZIP_STORED,
    ".deflated.zip": zipfile.ZIP_DEFLATED,
    ".bzip2.zip": zipfile.ZIP_BZIP2,
    ".lzma.ZIP": zipfile.ZIP_LZMA,
}


def make_zip(path: Path, files: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip archive of `files`, whose names may repeat."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # Repeated names.
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def make_tar(path: Path, files: list[tuple[str, bytes]], mode: str = "w", **options: str) -> Path:
    """Write a tar archive of `files`, whose names may repeat."""
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
    return path


def make(path: Path, files: list[tuple[str, bytes]]) -> Path:
    """Write an archive of the kind that the suffix names."""
    for suffix, compression in reversed(ZIPS.items()):
        if path.name.endswith(suffix):
            return make_zip(path, files, compression)
    return make_tar(path, files, next(mode for suffix, mode in TARS.items() if path.name.endswith(suffix)))


def contents(path: Path) -> list[tuple[str, bytes]]:
    """Return the names and bytes of the readable members of the archive `path`."""
    archive = open_archive(path)
    return [
        (member.name, archive.read(member.position, LIMIT)) for member in archive.members() if not member.unreadable
    ]


kinds = pytest.mark.parametrize("suffix", [*ZIPS, *TARS])
both = pytest.mark.parametrize("suffix", [".zip", ".tar"])


@kinds
def test_every_member_is_read(tmp_path: Path, suffix: str) -> None:
    """Members come in the archive's order, with their names, sizes and bytes."""
    path = make(tmp_path / f"a{suffix}", list(FILES.items()))
    assert list(open_archive(path).members()) == [
        ArchiveMember(name, position, len(data), "") for position, (name, data) in enumerate(FILES.items())
    ]
    assert contents(path) == list(FILES.items())


@kinds
def test_members_can_be_read_in_any_order(tmp_path: Path, suffix: str) -> None:
    """A member is found by its position, repeatedly, also after the archive is opened again."""
    archive = open_archive(make(tmp_path / f"a{suffix}", list(FILES.items())))
    for position in (2, 0, 1, 2, 0):
        assert archive.read(position, LIMIT) == list(FILES.values())[position]


@kinds
def test_no_more_is_read_than_asked_for(tmp_path: Path, suffix: str) -> None:
    """A limit bounds the unpacked size of a member."""
    archive = open_archive(make(tmp_path / f"a{suffix}", [("bomb.png", bytes(10**6))]))
    assert archive.read(0, 100) == bytes(100)


@kinds
def test_repeated_names_are_different_members(tmp_path: Path, suffix: str) -> None:
    """Two members of the same name are two images."""
    files = [("cat/1.png", b"one"), ("cat/1.png", b"other")]
    assert contents(make(tmp_path / f"a{suffix}", files)) == files


@both
def test_folders_are_no_members(tmp_path: Path, suffix: str) -> None:
    """Folders are skipped, and do not count in the positions."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        make_zip(path, [("cat/", b""), ("cat/1.png", b"1")])
    else:
        with tarfile.open(path, "w") as archive:
            folder = tarfile.TarInfo("cat")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            info = tarfile.TarInfo("cat/1.png")
            info.size = 1
            archive.addfile(info, BytesIO(b"1"))
    assert list(open_archive(path).members()) == [ArchiveMember("cat/1.png", 0, 1, "")]


@kinds
def test_empty_archives_have_no_members(tmp_path: Path, suffix: str) -> None:
    """An archive may be empty."""
    assert contents(make(tmp_path / f"a{suffix}", [])) == []


@kinds
def test_archives_close_themselves(tmp_path: Path, suffix: str) -> None:
    """An archive that is no longer referenced is closed, without Python's warning."""
    path = make(tmp_path / f"a{suffix}", list(FILES.items()))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        list(open_archive(path).members())
        gc.collect()
    # Objects of other tests may be collected here, and may warn.
    assert [str(warning.message) for warning in said if str(path) in str(warning.message)] == []


def test_encrypted_members_are_unreadable(tmp_path: Path) -> None:
    """Only members with zip's encryption flag are unreadable."""
    path = make_zip(tmp_path / "a.zip", [("1.png", b"1"), ("2.png", b"2")])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert [member.unreadable for member in open_archive(path).members()] == ["encrypted", ""]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_are_unreadable(tmp_path: Path, kind: bytes) -> None:
    """Members of a tar that are not regular files are never followed, opened or read."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("cat/1.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert [member.unreadable for member in open_archive(path).members()] == ["not a file"]


@pytest.mark.parametrize(
    "name",
    [
        "../x.png",
        "cat/../../x.png",
        "cat/..",
        "..",
        "/etc/x.png",
        "//server/x.png",
        "\\\\server\\x.png",
        "..\\x.png",
        "cat\\..\\x.png",
        "C:\\x.png",
        "c:x.png",
        "C:/x.png",
        "\\x.png",
        "cat/x\0.png",
    ],
)
def test_unsafe_names(name: str) -> None:
    """A name that could write outside the folder on any system is unsafe."""
    assert is_unsafe(name)


@pytest.mark.parametrize(
    "name", ["x.png", "cat/x.png", "./cat/x.png", "cat/..x.png", "cat/x..png", "c/:x.png", "...", "cat\\x.png", ""]
)
def test_safe_names(name: str) -> None:
    """Other names are safe, also with dots."""
    assert not is_unsafe(name)


@both
@pytest.mark.parametrize("name", ["../x.png", "/x.png", "C:/x.png", "cat/x\\y.png"])
def test_names_are_told_as_they_are(tmp_path: Path, suffix: str, name: str) -> None:
    """Unsafe names are passed on unchanged, and reading such a member writes no file."""
    (tmp_path / "folder").mkdir()
    path = make(tmp_path / "folder" / f"a{suffix}", [(name, b"x")])
    assert contents(path) == [(name, b"x")]
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == [path.name]


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP", "x/a.tar", "a.tar.gz", "a.TGZ", "a.tar.bz2", "a.tar.xz", "a.txz"])
def test_archives_are_known_by_name(name: str) -> None:
    """Archives are recognised by their suffix, also in capitals."""
    assert is_archive(name)


@pytest.mark.parametrize("name", ["zip", "a.png", "a.zip.png", "a.gz", "a.7z", "tar"])
def test_other_names_are_no_archives(name: str) -> None:
    """Other names are not archives."""
    assert not is_archive(name)


@pytest.mark.parametrize("name", ["a.zip.png", "nested.tar", "cat/nested.zip"])
@both
def test_archives_within_archives_are_not_opened(tmp_path: Path, suffix: str, name: str) -> None:
    """A nested archive is an ordinary member."""
    inner = make(tmp_path / "inner.zip", list(FILES.items())).read_bytes()
    assert contents(make(tmp_path / f"a{suffix}", [(name, inner)])) == [(name, inner)]


def test_tar_names_in_other_encodings(tmp_path: Path) -> None:
    """A name that is not UTF-8 can be printed and written."""
    path = make_tar(tmp_path / "a.tar", [("cat/é.png", b"x")], encoding="latin-1", format=tarfile.GNU_FORMAT)  # type: ignore[arg-type]
    assert contents(path) == [("cat/\\xe9.png", b"x")]


def test_zip_names_in_other_encodings(tmp_path: Path) -> None:
    """A name that claims to be UTF-8 and is not breaks the archive; one without the claim can be printed."""
    path = make_zip(tmp_path / "a.zip", [("cat/é.png", b"x")])
    whole = path.read_bytes()
    path.write_bytes(whole.replace("é".encode(), b"\xff\xff"))
    with pytest.raises(BROKEN):
        list(open_archive(path).members())
    path = make_zip(tmp_path / "b.zip", [("cat/ee.png", b"x")])
    path.write_bytes(path.read_bytes().replace(b"ee.png", b"\x82\x82.png"))
    assert contents(path) == [("cat/éé.png", b"x")]


@given(st.binary())
def test_every_name_is_printable(raw: bytes) -> None:
    """Any name can be written as UTF-8, and UTF-8 names do not change."""
    name = raw.decode("utf-8", "surrogateescape")
    printable(name).encode()
    assert printable(printable(name)) == printable(name)


def patched(path: Path, at: Callable[[bytes], int], value: int) -> Path:
    """Replace a 32-bit number in the zip archive `path`."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, at(bytes(data)), value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("claim", [0, 10, 2**31, 2**32 - 2])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sizes_that_lie(tmp_path: Path, claim: int, compression: int) -> None:
    """A zip with a wrong unpacked size is read up to the limit, or is broken."""
    path = make_zip(tmp_path / "a.zip", [("1.png", bytes(1000))], compression)
    patched(path, lambda data: data.index(b"PK\1\2") + 24, claim)
    archive = open_archive(path)
    assert [member.size for member in archive.members()] == [claim]
    with suppress(*BROKEN):
        assert archive.read(0, 500) == bytes(min(claim, 500))


@pytest.mark.parametrize("claim", [0, 10, 2**31])
def test_packed_sizes_that_lie(tmp_path: Path, claim: int) -> None:
    """A wrong packed size does not give a member the bytes of another one."""
    path = make_zip(tmp_path / "a.zip", [("1.png", b"1" * 1000), ("2.png", b"2" * 1000)], zipfile.ZIP_DEFLATED)
    patched(path, lambda data: data.index(b"PK\1\2") + 20, claim)
    archive = open_archive(path)
    with suppress(*BROKEN):
        assert set(archive.read(0, LIMIT)) <= {ord("1")}
    assert archive.read(1, LIMIT) == b"2" * 1000


@kinds
def test_truncated_archives_are_broken(tmp_path: Path, suffix: str) -> None:
    """A truncated archive lists and reads its complete part, or is broken; there is no other exception."""
    path = make(tmp_path / f"a{suffix}", list(FILES.items()))
    whole = path.read_bytes()
    for end in range(0, len(whole), max(1, len(whole) // 97)):
        path.write_bytes(whole[:end])
        try:
            found = contents(path)
        except BROKEN:
            continue
        assert found == list(FILES.items())[: len(found)]


@pytest.mark.parametrize(
    "data", [b"", b"<html>no</html>", bytes(100), b"PK\3\4"], ids=["empty", "HTML", "zeros", "start"]
)
@kinds
def test_no_archives_at_all(tmp_path: Path, suffix: str, data: bytes) -> None:
    """A file that only claims to be an archive is broken or empty, without a crash."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    with suppress(*BROKEN):
        assert contents(path) == []


def test_empty_names_are_members_or_break_the_archive(tmp_path: Path) -> None:
    """A zip member without a name causes no crash."""
    path = make_zip(tmp_path / "a.zip", [("1.png", b"1")])
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\1\2")
    struct.pack_into("<HH", data, start + 28, 0, 5)  # The name becomes an extra field.
    path.write_bytes(data)
    with suppress(*BROKEN):
        list(open_archive(path).members())


@kinds
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_archives_are_broken(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    """A damaged archive lists and reads something, or is broken; there is no other exception."""
    path = make(tmp_path / f"a{suffix}", list(FILES.items()))
    damaged = bytearray(path.read_bytes())
    position = st.integers(0, len(damaged) - 1)
    for place, value in data.draw(st.lists(st.tuples(position, st.integers(0, 255)), min_size=1, max_size=4)):
        damaged[place] = value
    path.write_bytes(damaged)
    try:
        archive: Archive = open_archive(path)
        members = list(archive.members())
    except BROKEN:
        return
    for member in members:
        member.name.encode()
        if not member.unreadable:
            with suppress(*BROKEN):
                assert len(archive.read(member.position, LIMIT)) <= LIMIT


def long_header(path: Path, kind: bytes, size: int) -> Path:
    """Write a compressed tar with one member, preceded by `size` bytes that tarfile would keep in memory."""
    first, last = tarfile.TarInfo("././@LongLink"), tarfile.TarInfo("cat/1.png")
    first.type, first.size = kind, size
    with gzip.open(path, "wb") as file:
        file.write(first.tobuf(tarfile.GNU_FORMAT) + b"a" * size + last.tobuf() + bytes(1024))
    return path


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_of_any_length_are_not_read(tmp_path: Path, kind: bytes) -> None:
    """A name of a hundred megabytes, which tarfile would keep several times, is not read."""
    path = long_header(tmp_path / "a.tar.gz", kind, 100 * 2**20)
    tracemalloc.start()
    with pytest.raises(BombError, match="header"):
        list(open_archive(path).members())
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()
    usual = long_header(tmp_path / "b.tar.gz", tarfile.GNUTYPE_LONGNAME, 2**19)
    assert [len(member.name) for member in open_archive(usual).members()] == [2**19]


def test_maps_of_holes_of_any_length_are_not_read(tmp_path: Path) -> None:
    """An endless list of holes in a sparse member is not read."""
    info = tarfile.TarInfo("cat/1.png")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # More holes follow.
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    block = b"00000000001\0" * 42 + b"\1" + bytes(7)
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(bytes(header) + block * 100_000)
    with pytest.raises(BombError, match="header"):
        list(open_archive(tmp_path / "a.tar.gz").members())


def test_members_are_not_unpacked_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing a compressed tar unpacks it, so it stops at a size that no honest archive has."""
    files = [(f"cat/{number}.png", bytes(2**20)) for number in range(4)]
    path = make_tar(tmp_path / "a.tar.gz", files, "w:gz")
    assert len(list(open_archive(path).members())) == len(files)
    monkeypatch.setattr(members, "MAX_UNPACKED", 2**21)
    with pytest.raises(BombError, match="unpack"):
        list(open_archive(path).members())


def test_members_of_a_tar_are_read_in_any_order(tmp_path: Path) -> None:
    """Members are read in any order, repeatedly, also without a listing."""
    files = [(f"cat/{number}.png", bytes([number]) * 700) for number in range(5)]
    archive = open_archive(make_tar(tmp_path / "a.tar.xz", files, "w:xz"))
    for position in (3, 0, 4, 4, 1):
        assert archive.read(position, 1000) == files[position][1]
    assert [member.position for member in archive.members()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("harm", ["header", "cut at a member", "cut in a header"])
def test_tar_that_ends_early_says_so(tmp_path: Path, harm: str) -> None:
    """Members before the damage are listed, and the loss is always reported."""
    path = make_tar(tmp_path / "a.tar", [(f"cat/{number}.png", bytes(10)) for number in range(3)])
    data = bytearray(path.read_bytes())
    if harm == "header":
        data[1029] ^= 1
    else:
        del data[1024 if harm == "cut at a member" else 1124 :]
    path.write_bytes(data)
    assert open_archive(path).read(0, LIMIT) == bytes(10)
    members = open_archive(path).members()
    assert next(members).name == "cat/0.png"
    with pytest.raises(tarfile.ReadError, match="byte 1024"):
        next(members)


@pytest.mark.parametrize("suffix", TARS)
@pytest.mark.parametrize("pause", [0, 1, 5])
def test_tars_behind_a_tar_are_read(tmp_path: Path, suffix: str, pause: int) -> None:
    """`cat a.tar b.tar` contains the members of both, compressed or not, with or without zeros in between."""
    one, other = [("cat/1.png", b"1" * 700)], [("cat/2.png", b"2"), ("cat/3.png", b"3" * 600)]
    first, second = make(tmp_path / f"a{suffix}", one), make(tmp_path / f"b{suffix}", other)
    path = tmp_path / f"both{suffix}"
    zeros = bytes(pause * 512) if suffix.lower() == ".tar" else b""
    path.write_bytes(first.read_bytes() + zeros + second.read_bytes())
    assert contents(path) == one + other
    archive = open_archive(path)
    assert [archive.read(position, LIMIT) for position in (2, 0, 1)] == [b"3" * 600, b"1" * 700, b"2"]


def test_a_lone_block_of_zeros_ends_nothing(tmp_path: Path) -> None:
    """A single block of zeros does not end the archive, as for `tar -i`."""
    path = make_tar(tmp_path / "a.tar", [("cat/1.png", b"1"), ("cat/2.png", b"2")])
    data = path.read_bytes()
    path.write_bytes(data[:1024] + bytes(512) + data[1024:])
    assert contents(path) == [("cat/1.png", b"1"), ("cat/2.png", b"2")]


def test_what_is_no_tar_behind_a_tar_is_told(tmp_path: Path) -> None:
    """Data after a tar that is no tar is reported."""
    path = make_tar(tmp_path / "a.tar", [("cat/1.png", b"1")])
    path.write_bytes(path.read_bytes() + b"something else" * 100)
    listed = open_archive(path).members()
    assert next(listed).name == "cat/1.png"
    with pytest.raises(tarfile.ReadError, match="byte 10240"):
        next(listed)


def test_a_zip_before_a_zip_is_told(tmp_path: Path) -> None:
    """`cat a.zip b.zip`, whose directory lists only b's files, is reported; a program before a zip is not."""
    first = make_zip(tmp_path / "a.zip", [("cat/1.png", b"1"), ("cat/2.png", b"2")]).read_bytes()
    second = make_zip(tmp_path / "b.zip", [("cat/3.png", b"3")]).read_bytes()
    path = tmp_path / "both.zip"
    path.write_bytes(first + second)
    listed = open_archive(path).members()
    assert next(listed).name == "cat/3.png"
    with pytest.raises(zipfile.BadZipFile, match="2 files are in another zip"):
        next(listed)
    path.write_bytes(b"#!" + first.replace(b"PK\5\6", b"PK\0\0") + second)
    assert contents(path) == [("cat/3.png", b"3")]


def test_a_zip_that_is_cut_off_within_a_zip_is_told(tmp_path: Path) -> None:
    """A truncated zip that contains a zip, whose directory is found instead, is reported."""
    inner = make_zip(tmp_path / "inner.zip", [("cat/3.png", b"3")]).read_bytes()
    path = make_zip(tmp_path / "a.zip", [("cat/1.png", b"1"), ("more.zip", inner)])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(inner) + len(inner)])
    listed = open_archive(path).members()
    assert next(listed).name == "cat/3.png"
    with pytest.raises(zipfile.BadZipFile, match="it may be cut off"):
        next(listed)


@pytest.mark.parametrize(
    ("start", "kind"), [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\1\0", "RAR"), (b"\x28\xb5\x2f\xfd", "Zstandard")]
)
def test_other_archives_are_named(tmp_path: Path, start: bytes, kind: str) -> None:
    """Other archive formats are recognised by their bytes, whatever their names."""
    (tmp_path / "a.zip").write_bytes(start + bytes(100))
    with pytest.raises(UnsupportedError, match=f"a {kind} archive; .*pack it as .zip"):
        open_archive(tmp_path / "a.zip")


@both
def test_backslashes_separate_folders(tmp_path: Path, suffix: str) -> None:
    """Backslashes separate folders in names without a slash, as old Windows programs write them; else they do not."""
    names = ["cat\\1.png", ".\\cat\\old\\2.png", "cat/a\\3.png"]
    path = make(tmp_path / f"a{suffix}", [(name, b"x") for name in names])
    assert [name for name, _ in contents(path)] == ["cat/1.png", "./cat/old/2.png", "cat/a\\3.png"]


@pytest.mark.parametrize("name", ["a.exe", "a.zip"])
@pytest.mark.parametrize(
    "program", [b"MZ" + bytes(5000), b"#!/bin/sh\n", b"MZ" + b"PK\5\6" + b"\1" * 500], ids=["program", "script", "mark"]
)
def test_programs_that_unpack_themselves(tmp_path: Path, name: str, program: bytes) -> None:
    """A zip at the end of a program is read, whatever its name; a program without one is named as such."""
    path = make_zip(tmp_path / "whole.zip", list(FILES.items()))
    (tmp_path / name).write_bytes(program + path.read_bytes())
    assert is_archive(name)
    assert contents(tmp_path / name) == list(FILES.items())
    (tmp_path / name).write_bytes(b"MZ" + bytes(5000))
    with pytest.raises(UnsupportedError, match="a program, without a zip at its end"):
        open_archive(tmp_path / name)


def linked_tar(path: Path, links: list[tuple[str, str]], mode: str = "w") -> Path:
    """Write a tar of `cat/1.png` and hard links to the given targets."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("cat/1.png")
        info.size = 5
        archive.addfile(info, BytesIO(b"bytes"))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_hard_links_are_files(tmp_path: Path, mode: str) -> None:
    """A hard link has the bytes of the earlier file that it names, directly or through another link."""
    links = [("cat/2.png", "cat/1.png"), ("dog/3.png", "cat/2.png")]
    path = linked_tar(tmp_path / "a.tar", links, mode)
    assert contents(path) == [("cat/1.png", b"bytes"), ("cat/2.png", b"bytes"), ("dog/3.png", b"bytes")]
    assert open_archive(path).read(2, 3) == b"byt"
    assert [member.size for member in open_archive(path).members()] == [5, 5, 5]


@pytest.mark.parametrize("target", ["cat/2.png", "cat/later.png", "/etc/passwd", "../x"])
def test_hard_links_to_nothing_are_unreadable(tmp_path: Path, target: str) -> None:
    """A link to itself, to a later member, or out of the archive is unreadable."""
    path = linked_tar(tmp_path / "a.tar", [("cat/2.png", target), ("cat/later.png", "cat/1.png")])
    assert [member.unreadable for member in open_archive(path).members()] == ["", "not a file", ""]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python reads it")
def test_zstandard_needs_a_newer_python(tmp_path: Path) -> None:
    """It is refused with that reason."""
    (tmp_path / "a.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    assert is_archive("a.tar.zst")
    with pytest.raises(UnsupportedError, match=r"Python 3\.14 or newer reads it"):
        open_archive(tmp_path / "a.tar.zst")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="this Python reads none")
def test_zstandard(tmp_path: Path) -> None:
    """Zstandard archives are read like any other."""
    path = make_tar(tmp_path / "a.tar.zst", list(FILES.items()), "w:zst")
    assert contents(path) == list(FILES.items())
