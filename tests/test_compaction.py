"""Shards are folded and rewritten without an image being lost or changed."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import index, paths
from pipeline.compaction import MAX_SMALL, compact
from pipeline.shards import ShardReader, ShardWriter

LIMIT = 2**20


def _data(number: int) -> bytes:
    return b"\x89PNG" + hashlib.sha512(str(number).encode()).digest() * 20


def _collection(shards: int, each: int) -> pa.Table:
    """An index over `shards` shards in data/images, `each` images in each."""
    paths.IMAGES.mkdir(parents=True)
    rows = []
    for shard in range(shards):
        with ShardWriter(paths.IMAGES, first=shard, limit=LIMIT) as writer:
            for number in range(shard * each, (shard + 1) * each):
                name = hashlib.md5(str(number).encode()).hexdigest()
                _, offset = writer.append(f"{name}.png", _data(number))
                rows.append(
                    {"id": name, "shard": shard, "offset": offset, "length": len(_data(number)), "width": number}
                )
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["id"])), index.SCHEMA)


def _check(table: pa.Table, folder: Path) -> None:
    """Every image is where `table` says."""
    with ShardReader(paths.IMAGES) as old, ShardReader(folder) as new:
        for row in table.to_pylist():
            reader = new if (folder / f"{row['shard']:06d}.tar").exists() else old
            assert reader.read(row["shard"], row["offset"], row["length"]) == _data(row["width"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where new shards go; the working directory is an empty project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def test_few_shards_are_left_alone(folder: Path) -> None:
    """As long as there are not too many small shards, nothing moves."""
    table = _collection(MAX_SMALL, 3)
    assert compact(table, folder, first=MAX_SMALL, limit=LIMIT).equals(table)
    assert not list(folder.iterdir())


def test_many_small_shards_become_one(folder: Path) -> None:
    """Too many small shards are folded into one, every image kept."""
    table = _collection(MAX_SMALL + 1, 3)
    folded = compact(table, folder, first=MAX_SMALL + 1, limit=LIMIT)
    assert folded["shard"].unique().to_pylist() == [MAX_SMALL + 1]
    assert folded.drop_columns(["shard", "offset"]).equals(table.drop_columns(["shard", "offset"]))
    _check(folded, folder)


def test_mostly_dead_shards_are_rewritten(folder: Path) -> None:
    """A shard in which few images are left is rewritten, the others stay."""
    table = _collection(3, 20)
    kept = table.filter(pa.array([row["shard"] != 1 or row["width"] < 24 for row in table.to_pylist()]))
    rewritten = compact(kept, folder, first=3, limit=LIMIT)
    assert sorted(rewritten["shard"].unique().to_pylist()) == [0, 2, 3]
    _check(rewritten, folder)


def test_what_it_makes_it_leaves_alone(folder: Path) -> None:
    """Compacting twice changes nothing more, so that forced runs give the same bytes."""
    table = _collection(MAX_SMALL + 5, 2)
    folded = compact(table, folder, first=MAX_SMALL + 5, limit=LIMIT)
    again = folder.parent / "again"
    again.mkdir()
    for path in folder.iterdir():
        path.rename(paths.IMAGES / path.name)
    assert compact(folded, again, first=MAX_SMALL + 6, limit=LIMIT).equals(folded)


def test_no_images_are_no_trouble(folder: Path) -> None:
    """An empty index stays empty."""
    empty = index.SCHEMA.empty_table()
    assert compact(empty, folder, first=0, limit=LIMIT).equals(empty)
