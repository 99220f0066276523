"""The contents of archives are stored by the archive's hash, and dangerous members are refused unread."""

import gzip
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pytest

from pipeline import parquet
from pipeline.ingestion import archive_listing
from pipeline.ingestion.archive_listing import list_archive, listed_again
from pipeline.ingestion.catalogue import (
    LABEL_FILE,
    MEMBERS,
    PLAIN,
    SCHEMA,
    Catalogue,
    CatalogueMember,
    catalogue_table,
    is_current,
    read_catalogue,
)
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking.archives import open_archive

GIB = 2**30
ONE, OTHER = "1" * 32, "2" * 32


def make_zip(path: Path, *names: str) -> Path:
    """Write a zip archive of a folder, and of files that contain their names."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/", "")
        for name in names:
            archive.writestr(name, name)
    return path


def make_tar(path: Path, *names: str, **sizes: int) -> Path:
    """Write a compressed tar archive of a folder, of files that contain their names, and of sparse ones, NAME=SIZE."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name.encode())
            archive.addfile(info, BytesIO(name.encode()))
        for name, size in sizes.items():
            info = tarfile.TarInfo(f"cat/{name}.png")
            info.size, info.pax_headers = 8, {"GNU.sparse.map": "0,8", "GNU.sparse.size": str(size)}
            archive.addfile(info, BytesIO(bytes(8)))
    return path


def claim(path: Path, size: int) -> Path:
    """Make the zip archive `path` claim that each of its members is `size` bytes long."""
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\1\2")
    while place >= 0:
        struct.pack_into("<I", data, place + 24, size)
        place = data.find(b"PK\1\2", place + 1)
    path.write_bytes(data)
    return path


def test_members_before_the_damage_are_usable(tmp_path: Path) -> None:
    """Members before the damage are usable, and the archive has its own line for the lost part."""
    path = make_tar(tmp_path / "a.tar.gz", "cat/1.png", "cat/2.png")
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[: 512 * 3]))  # A folder and a file.
    first, lost = list_archive(path)
    assert first == CatalogueMember("cat/1.png", 0)
    assert (lost.name, lost.position, lost.refusal and lost.refusal.reason) == ("", 1, "broken archive")


def encrypt(path: Path) -> Path:
    """Mark the last file in the zip archive `path` as encrypted."""
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    return path


def reasons(path: Path) -> dict[str, str]:
    """Return why each member of the archive `path` is refused, by name; "" if it is not."""
    return {member.name: member.refusal.reason if member.refusal else "" for member in list_archive(path)}


def saved(known: Mapping[str, list[CatalogueMember]], path: Path) -> Catalogue:
    """Return `known` as the next run reads it."""
    parquet.write_tables({path: catalogue_table(known)})
    return read_catalogue(path)


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_are_listed_unread(tmp_path: Path, make: Callable[..., Path]) -> None:
    """Every file is listed in the archive's order with the position to read it; folders are not listed."""
    names = ["cat/b.png", "cat/a.png", "dog/é 猫.png", "loose.jpg"]
    path = make(tmp_path / "archive", *names)
    listed = list_archive(path)
    assert listed == [CatalogueMember(name, position) for position, name in enumerate(names)]
    archive = open_archive(path)
    assert [archive.read(member.position, 99).decode() for member in listed] == names


def test_a_name_may_repeat(tmp_path: Path) -> None:
    """Members of the same name are separate members."""
    path = make_tar(tmp_path / "a.tar.gz", "cat/1.png", "cat/1.png")
    assert list_archive(path) == [CatalogueMember("cat/1.png", 0), CatalogueMember("cat/1.png", 1)]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_what_nobody_should_read_is_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    """Each unusable member has its own reason, and the members next to it stay usable."""
    expected = {
        "cat/1.png": "",
        "cat/.DS_Store": "system file",
        "__MACOSX/cat/._1.png": "system file",
        "../1.png": "unsafe name",
        "cat/../../1.png": "unsafe name",
        "/cat/1.png": "unsafe name",
        "C:/cat/1.png": "unsafe name",
        "cat/more.zip": "nested archive",
        "cat/more.TAR.GZ": "nested archive",
        "cat/more.7z": "nested archive",
        "cat/2.png": "",
    }
    assert reasons(make(tmp_path / "archive", *expected)) == expected


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    """An encrypted member is refused without asking for a password."""
    expected = {"cat/1.png": "", "cat/2.png": "encrypted"}
    assert reasons(encrypt(make_zip(tmp_path / "a.zip", *expected))) == expected


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    """Links and devices are not followed."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("cat/1.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert reasons(tmp_path / "a.tar") == {"cat/1.png": "not a file"}


def test_huge_members_are_refused(tmp_path: Path) -> None:
    """A member that claims to be larger than any image is refused; other members are not."""
    whole = {"cat/1.png": "", "cat/large.png": "too large"}
    assert reasons(make_tar(tmp_path / "a.tar.gz", "cat/1.png", large=GIB)) == whole
    assert reasons(claim(make_zip(tmp_path / "a.zip", "cat/large.png"), GIB)) == {"cat/large.png": "too large"}


def test_archive_bombs_are_refused(tmp_path: Path) -> None:
    """An archive that would unpack to much more than its size is refused as a whole, without its members."""
    for path in (
        make_tar(tmp_path / "a.tar.gz", "cat/1.png", large=5 * GIB),
        claim(make_zip(tmp_path / "a.zip", "cat/1.png", "cat/2.png", "cat/3.png"), 2 * GIB),
    ):
        assert reasons(path) == {"": "archive bomb"}
        (member,) = list_archive(path)
        assert member.refusal is not None
        assert not member.refusal.is_passing


@pytest.mark.parametrize("data", [b"", b"PK\3\4 and no more", b"no archive" * 100, bytes(10), b"\x1f\x8b\x08 broken"])
def test_broken_archives_are_refused(tmp_path: Path, data: bytes) -> None:
    """A file that is no archive despite its name is refused permanently, in one line."""
    (tmp_path / "a.zip").write_bytes(data)
    (member,) = list_archive(tmp_path / "a.zip")
    assert member.refusal is not None
    assert (member.name, member.refusal.reason, member.refusal.is_passing) == ("", "broken archive", False)
    assert member.refusal.detail.splitlines() == [member.refusal.detail]


def test_archives_that_cannot_be_opened_now(tmp_path: Path) -> None:
    """A reason that lies in the disk rather than in the bytes is temporary."""
    (tmp_path / "folder.zip").mkdir()
    assert reasons(tmp_path / "gone.zip") == {"": "vanished"}
    assert reasons(tmp_path / "folder.zip") == {"": "unreadable"}
    assert all(
        member.refusal is not None and member.refusal.is_passing
        for name in ("gone.zip", "folder.zip")
        for member in list_archive(tmp_path / name)
    )


def test_no_catalogue_yet() -> None:
    """Before the first run the catalogue is empty."""
    assert not MEMBERS.exists()
    assert read_catalogue() == {}


def test_catalogues_come_back(tmp_path: Path) -> None:
    """The next run knows what is recorded of each member: its id, why there is none, or that it is unread."""
    known = {
        OTHER: [
            CatalogueMember("cat/b, “c”\n.png", 0, id="a" * 32),
            CatalogueMember("cat/a.png", 1),
            CatalogueMember("cat/a.png", 2, id="b" * 32),
            CatalogueMember("../x.png", 3, refusal=Refusal("unsafe name", "would be\nwritten elsewhere")),
        ],
        ONE: [CatalogueMember("", 0, refusal=Refusal("broken archive", "not a zip file"))],
    }
    assert saved(known, tmp_path / "members.parquet") == known


def test_catalogue_of_a_listed_archive_comes_back(tmp_path: Path) -> None:
    """A listed archive is not listed again."""
    path = make_zip(tmp_path / "a.zip", "cat/1.png", "../2.png", "dog/é 猫.png")
    known = {ONE: list_archive(path)}
    path.unlink()
    assert saved(known, tmp_path / "members.parquet") == known


def test_passing_reasons_are_not_remembered(tmp_path: Path) -> None:
    """An archive that could not be opened is unknown to the next run."""
    known = {
        ONE: [CatalogueMember("", 0, refusal=Refusal("vanished", "no such file"))],
        OTHER: [CatalogueMember("cat/1.png", 0, id="a" * 32)],
    }
    assert saved(known, tmp_path / "members.parquet") == {OTHER: known[OTHER]}


def test_the_same_catalogue_is_the_same_table(tmp_path: Path) -> None:
    """The table does not depend on the order in which archives are found, so that it is not written again."""
    one, other = [CatalogueMember("cat/1.png", 0, id="a" * 32)], [CatalogueMember("cat/2.png", 0, id="b" * 32)]
    path = tmp_path / "members.parquet"
    parquet.write_tables({path: catalogue_table({ONE: one, OTHER: other})})
    before = (path.stat().st_ino, path.read_bytes())
    parquet.write_tables({path: catalogue_table({OTHER: other, ONE: one})})
    assert (path.stat().st_ino, path.read_bytes()) == before
    parquet.write_tables({path: catalogue_table({OTHER: other})})
    assert path.read_bytes() != before[1]


def test_empty_catalogue(tmp_path: Path) -> None:
    """Without archives the table has no rows."""
    assert catalogue_table({}).schema == SCHEMA
    assert saved({}, tmp_path / "members.parquet") == {}


def test_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive with too many files is refused as a whole; one at the limit is not."""
    monkeypatch.setattr(archive_listing, "MAX_MEMBERS", 3)
    for make in (make_zip, make_tar):
        assert len(list_archive(make(tmp_path / "archive", "cat/1", "cat/2", "cat/3"))) == 3
        assert reasons(make(tmp_path / "archive", "cat/1", "cat/2", "cat/3", "cat/4")) == {"": "too large"}


def test_doubts_come_back(tmp_path: Path) -> None:
    """Uncertain names are recorded as such."""
    known = {ONE: [CatalogueMember("caf\u2591/1.png", 0, id="a" * 32, doubt="is odd"), CatalogueMember("cat/1.png", 1)]}
    assert saved(known, tmp_path / "members.parquet") == known


def test_an_earlier_listing_is_known_as_such(tmp_path: Path) -> None:
    """An earlier version's listing is detected, so that archives are listed again once; without archives none is."""
    path = tmp_path / "members.parquet"
    known = {ONE: [CatalogueMember("cat/1.png", 0, id="a" * 32)]}
    parquet.write_tables({path: catalogue_table(known).replace_schema_metadata({})})
    assert not is_current(PLAIN, path)
    assert read_catalogue(path) == known
    saved(known, path)
    assert is_current(PLAIN, path)
    parquet.write_tables({path: catalogue_table({})})
    assert is_current(PLAIN, path)


def test_listing_again_keeps_what_is_the_same(tmp_path: Path) -> None:
    """Another listing keeps what was read, and takes new members unread, unless the archive cannot be opened now."""
    path = make_zip(tmp_path / "a.zip", "cat/1.png", "cat/2.png")
    known = [CatalogueMember("cat/1.png", 0, id="a" * 32), CatalogueMember("cat/2.png", 1, id="b" * 32)]
    assert listed_again(known, path, PLAIN) == known
    fewer = known[:1]
    assert [member.id for member in listed_again(fewer, path, PLAIN)] == [None, None]
    assert listed_again(fewer, tmp_path / "gone.zip", PLAIN) is fewer


def labelled(path: Path, files: dict[str, str]) -> dict[str, tuple[str | None, str]]:
    """Return the label and the reason of each member of an archive of `files`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return {
        one.name: (one.line.label if one.line else None, one.refusal.reason if one.refusal else "")
        for one in list_archive(path)
        if one.refusal != LABEL_FILE
    }


def test_archives_carry_labels(tmp_path: Path) -> None:
    """A label file in an archive labels its images, relative to its own folder, and is not an image itself."""
    files = {
        "labels.csv": "path;label\n1.png;cat\nsub\\*;dog\n",
        "1.png": "1",
        "sub/2.png": "2",
        "x/labels.csv": "path,label\n3.png,emu\n",
        "x/3.png": "3",
        "x/4.png": "4",
    }
    path = tmp_path / "a.zip"
    assert labelled(path, files) == {
        "1.png": ("cat", ""),
        "sub/2.png": ("dog", ""),
        "x/3.png": ("emu", ""),
        "x/4.png": (None, ""),
    }
    parquet.write_tables({tmp_path / "members.parquet": catalogue_table({ONE: list_archive(path)})})
    assert read_catalogue(tmp_path / "members.parquet") == {ONE: list_archive(path)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,text\n1,x\n", {"labels.csv": (None, "unusable labels"), "cat/1.png": (None, "")}),
        ("path,label\nother.png,x\n", {"labels.csv": (None, "unusable labels"), "cat/1.png": (None, "")}),
        ("path,label\n", {"cat/1.png": (None, "")}),
        ("path,label\ncat/1.png,\n", {"": (None, "unusable labels")}),
    ],
    ids=["no columns", "no image", "no rows", "no label"],
)
def test_unusable_labels_in_archives(tmp_path: Path, text: str, expected: dict[str, tuple[str | None, str]]) -> None:
    """A file that is no label file is refused; a label file with an error refuses the whole archive."""
    assert labelled(tmp_path / "a.zip", {"labels.csv": text, "cat/1.png": "1"}) == expected
