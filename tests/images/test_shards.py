"""Shards can be read by this package and by any tar, and a truncation loses only the truncated part."""

import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.damage import cuts

from pipeline.images.shards import (
    BLOCK,
    END,
    ShardReader,
    ShardWriter,
    last_shard,
    seal,
    shard_name,
    shard_number,
    shards_in,
)

IMAGES = {"a" * 32 + ".png": b"first" * 30, "b" * 32 + ".jpg": b"x" * BLOCK, "c" * 32 + ".png": b"last" * 200}
Places = dict[str, tuple[int, int]]


def write(folder: Path, images: dict[str, bytes], *, first: int = 0, limit: int = 10**6) -> Places:
    """Append `images` to new shards in `folder`, and return the shard and offset of each."""
    folder.mkdir(exist_ok=True)
    with ShardWriter(folder, first=first, limit=limit) as writer:
        return {name: writer.append(name, data) for name, data in images.items()}


def members(path: Path) -> dict[str, bytes]:
    """Return the files in the tar file `path`, read by Python."""
    with tarfile.open(path, "r:") as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


def test_names() -> None:
    """Names sort by number, and contain the number."""
    assert [shard_name(number) for number in (0, 42, 999_999)] == ["000000.tar", "000042.tar", "999999.tar"]
    assert shard_number(Path("x/000042.tar")) == 42


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=2000), max_size=12), st.integers(1, 6000), st.integers(0, 9))
def test_what_is_appended_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, several: list[bytes], limit: int, first: int
) -> None:
    """Every image is where the writer says, in shards numbered without gaps, in order."""
    folder = tmp_path_factory.mktemp("shards")
    images = {f"{number:032x}.png": data for number, data in enumerate(several)}
    places = write(folder, images, first=first, limit=limit)
    with ShardReader(folder) as reader:
        for name, data in images.items():
            assert reader.read(*places[name], len(data)) == data
    shards = sorted(folder.iterdir())
    assert [path.name for path in shards] == [shard_name(first + number) for number in range(len(shards))]
    read: dict[str, bytes] = {}
    for path in shards:
        read |= members(path)
    assert list(read.items()) == list(images.items())


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.integers(1, 8000))
def test_shards_are_bounded(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int) -> None:
    """A shard's content is no larger than the limit, unless a single image is."""
    folder = tmp_path_factory.mktemp("shards")
    write(folder, {f"{number:032x}.png": bytes(size) for number, size in enumerate(sizes)}, limit=limit)
    for path in folder.iterdir():
        assert len(members(path)) == 1 or path.stat().st_size <= limit + BLOCK + len(END)
        assert path.stat().st_size % BLOCK == 0


def test_shards_are_filled(tmp_path: Path) -> None:
    """A new shard starts only when the last one is full."""
    limit = 10 * (2 * BLOCK)
    write(tmp_path, {f"{number:032x}.png": bytes(BLOCK) for number in range(25)}, limit=limit)
    assert [len(members(path)) for path in sorted(tmp_path.iterdir())] == [10, 10, 5]


def test_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    """A shard contains neither time nor user."""
    for folder in ("one", "other"):
        write(tmp_path / folder, IMAGES)
    assert (tmp_path / "one/000000.tar").read_bytes() == (tmp_path / "other/000000.tar").read_bytes()
    with tarfile.open(tmp_path / "one/000000.tar") as archive:
        assert {(info.mtime, info.uid, info.uname) for info in archive} == {(0, 0, "")}


def test_tar_lists_and_unpacks_shards(tmp_path: Path) -> None:
    """The program tar reads shards."""
    write(tmp_path, IMAGES)
    ran = subprocess.run(["tar", "tf", "000000.tar"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert (ran.stdout.split(), ran.stderr) == (list(IMAGES), "")
    subprocess.run(["tar", "xf", "000000.tar"], cwd=tmp_path, check=True)
    assert {name: (tmp_path / name).read_bytes() for name in IMAGES} == IMAGES


def test_flushed_images_are_on_file(tmp_path: Path) -> None:
    """After a flush another process can read the image, although the shard is not finished."""
    with ShardWriter(tmp_path, first=0, limit=10**6) as writer:
        writer.flush()
        _, offset = writer.append("a.png", b"data")
        writer.flush()
        assert (tmp_path / "000000.tar").read_bytes()[offset:].startswith(b"data")


def test_writing_nothing_leaves_nothing(tmp_path: Path) -> None:
    """Without images there is no shard."""
    write(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_reading_beyond_the_end_is_short(tmp_path: Path) -> None:
    """A truncated shard returns fewer bytes; a missing one raises FileNotFoundError."""
    places = write(tmp_path, IMAGES)
    name, data = next(iter(IMAGES.items()))
    (tmp_path / "000000.tar").write_bytes((tmp_path / "000000.tar").read_bytes()[: places[name][1] + 7])
    with ShardReader(tmp_path) as reader:
        assert reader.read(*places[name], len(data)) == data[:7]
        with pytest.raises(FileNotFoundError):
            reader.read(1, 0, 1)


def test_sealing_keeps_what_is_whole_wherever_the_cut_is(tmp_path: Path) -> None:
    """A shard truncated anywhere is sealed to a valid tar file of exactly its complete images."""
    places = write(tmp_path, IMAGES)
    path, whole = tmp_path / "000000.tar", (tmp_path / "000000.tar").read_bytes()
    ends = {name: places[name][1] + len(data) for name, data in IMAGES.items()}
    for cut in cuts(whole, ends.values()):
        path.write_bytes(whole[:cut])
        kept = {name: data for name, data in IMAGES.items() if ends[name] <= cut}
        seal(path, max((ends[name] for name in kept), default=0))
        assert path.exists() == bool(kept)
        if kept:
            assert members(path) == kept
            assert path.read_bytes().endswith(END)


def test_sealing_again_changes_nothing(tmp_path: Path) -> None:
    """Sealing a complete shard changes no byte."""
    places = write(tmp_path, IMAGES)
    path, name = tmp_path / "000000.tar", list(IMAGES)[-1]
    whole = path.read_bytes()
    seal(path, places[name][1] + len(IMAGES[name]))
    assert path.read_bytes() == whole


def test_sealed_shards_satisfy_tar(tmp_path: Path) -> None:
    """The program tar, which is stricter than Python, reads a sealed shard without errors."""
    places = write(tmp_path, IMAGES)
    path, second = tmp_path / "000000.tar", list(IMAGES)[1]
    path.write_bytes(path.read_bytes()[: places[second][1] + len(IMAGES[second]) + 5])
    seal(path, places[second][1] + len(IMAGES[second]))
    ran = subprocess.run(["tar", "tf", str(path)], check=True, capture_output=True, text=True)
    assert (ran.stdout.split(), ran.stderr) == (list(IMAGES)[:2], "")


def test_other_files_are_no_shards(tmp_path: Path) -> None:
    """Users' files next to shards are neither counted nor removed."""
    for name in ("000004.tar", "mine.tar", "000007.tar.part", "1000000.tar"):
        (tmp_path / name).touch()
    assert [path.name for path in shards_in(tmp_path)] == ["000004.tar", "1000000.tar"]
    assert last_shard(tmp_path) == 1_000_000
    assert last_shard(tmp_path / "nowhere") == -1
