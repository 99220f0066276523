"""Blocks of shards on disk: found again, limited, and the least recently used are removed first."""

import os
import time
from pathlib import Path

import pytest

from pipeline.images import block_cache
from pipeline.images.block_cache import BlockCache

SIZE = 16
DATA = bytes(range(256))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks small."""
    monkeypatch.setattr(block_cache, "BLOCK", SIZE)


def filled(folder: Path, *numbers: int, limit: int = 100) -> BlockCache:
    """Return a cache to which these blocks of `DATA` were added, as far as there was room."""
    cache = BlockCache(folder, limit=limit * SIZE)
    for number in numbers:
        if cache.take_room():
            cache.add("md5", number, DATA[number * SIZE : (number + 1) * SIZE])
            cache.give_back()
    return cache


def kept(folder: Path) -> set[int]:
    """Return the numbers of the stored blocks."""
    return {int(path.name) for path in folder.glob("*/*")}


def age(folder: Path, *numbers: int) -> None:
    """Make these blocks old, the first one the oldest."""
    for order, number in enumerate(numbers):
        os.utime(folder / "md5" / str(number), (0, time.time() - 1000 + order))


@pytest.mark.parametrize(("start", "end"), [(0, 16), (3, 5), (15, 17), (7, 60), (32, 256)])
def test_what_was_added_is_found(tmp_path: Path, start: int, end: int) -> None:
    """Added ranges within a block and across blocks are found, by this process and another one."""
    for cache in (filled(tmp_path, *range(16)), BlockCache(tmp_path, limit=0)):
        assert cache.read("md5", start, end) == DATA[start:end]


def test_what_is_not_there(tmp_path: Path) -> None:
    """Nothing is found if a block is missing, or of another shard."""
    cache = filled(tmp_path, 0, 2)
    assert cache.read("md5", 10, 40) is None
    assert cache.read("other", 0, 4) is None
    assert cache.has("md5", 2)
    assert not cache.has("md5", 1)


@pytest.mark.parametrize("damage", [b"", DATA[:3], DATA[:SIZE], bytes(SIZE + 4)])
def test_damaged_pieces_alone_are_deleted(tmp_path: Path, damage: bytes) -> None:
    """Only damaged blocks are deleted; intact blocks of the same image, and replacements, stay."""
    cache = filled(tmp_path, *range(4))
    (tmp_path / "md5/1").write_bytes(damage)
    cache.drop_damaged("md5", 0, 60)
    assert kept(tmp_path) == {0, 2, 3}
    cache.drop_damaged("md5", 0, 60)
    assert cache.read("md5", 2 * SIZE, 4 * SIZE) == DATA[2 * SIZE : 4 * SIZE]


def test_least_recently_used_goes(tmp_path: Path) -> None:
    """New blocks replace the least recently used ones; reading counts as use."""
    filled(tmp_path, 0, 1, 2, 3, limit=4)
    age(tmp_path, 2, 0, 3, 1)
    time.sleep(0.05)
    cache = BlockCache(tmp_path, limit=4 * SIZE)
    assert cache.read("md5", 2 * SIZE, 3 * SIZE)
    for number, left in ((4, {1, 2, 3, 4}), (5, {1, 2, 4, 5}), (6, {2, 4, 5, 6}), (7, {2, 4, 5, 6})):
        if cache.take_room():
            cache.add("md5", number, DATA[:SIZE])
            cache.give_back()
        assert kept(tmp_path) == left


@pytest.mark.parametrize("limit", [0, 1, 3, 40])
def test_never_more_than_the_limit(tmp_path: Path, limit: int) -> None:
    """Blocks that are being added count towards the limit."""
    cache = filled(tmp_path, *range(1), limit=limit)
    on_the_way = 0
    while on_the_way < 100 and cache.take_room():
        on_the_way += 1
    assert on_the_way + len(kept(tmp_path)) == limit


def test_two_processes(tmp_path: Path) -> None:
    """Two processes together stay below the limit, up to a sixteenth."""
    both = [BlockCache(tmp_path, limit=64 * SIZE, processes=2) for _ in range(2)]
    number = 0
    while taken := [cache for cache in both if cache.take_room()]:
        for cache in taken:
            number += 1
            cache.add("md5", number, DATA[:SIZE])
            cache.give_back()
    assert 56 <= len(kept(tmp_path)) <= 68


def test_closed(tmp_path: Path) -> None:
    """After closing nothing is added."""
    cache = filled(tmp_path, 0)
    cache.close()
    assert not cache.take_room()


def test_files_that_vanish_while_the_folder_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another thread deletes files during the scan, the room is computed correctly."""
    filled(tmp_path, 0, 1, 2)
    glob = Path.glob

    def vanishing(self: Path, pattern: str) -> list[Path]:
        found = list(glob(self, pattern))
        found[1].unlink()
        return found

    monkeypatch.setattr(Path, "glob", vanishing)
    assert BlockCache(tmp_path, limit=10 * SIZE).take_room()
