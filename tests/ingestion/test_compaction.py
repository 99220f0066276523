"""Shards are folded and rewritten without an image being lost or changed."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.images import index
from pipeline.images.shards import ShardReader, ShardWriter
from pipeline.ingestion.compaction import MAX_SMALL, compact, undamaged

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
                data = _data(number)
                _, offset = writer.append(f"{name}.png", data)
                row = {"id": name, "shard": shard, "offset": offset, "length": len(data), "width": number}
                rows.append({**row, "md5": hashlib.md5(data).hexdigest()})
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["id"])), index.SCHEMA)


def _check(table: pa.Table) -> None:
    """Every image is where `table` says."""
    with ShardReader(paths.IMAGES) as reader:
        for row in table.to_pylist():
            assert reader.read(row["shard"], row["offset"], row["length"]) == _data(row["width"])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is an empty project."""
    monkeypatch.chdir(tmp_path)


def test_few_shards_are_left_alone() -> None:
    """As long as there are not too many small shards, nothing moves."""
    table = _collection(MAX_SMALL, 3)
    assert compact(table, limit=LIMIT).equals(table)


def test_many_small_shards_become_one() -> None:
    """Too many small shards are folded into one, every image kept."""
    table = _collection(MAX_SMALL + 1, 3)
    folded = compact(table, limit=LIMIT)
    assert folded["shard"].unique().to_pylist() == [MAX_SMALL + 1]
    assert folded.drop_columns(["shard", "offset"]).equals(table.drop_columns(["shard", "offset"]))
    _check(folded)


def test_mostly_dead_shards_are_rewritten() -> None:
    """A shard in which few images are left is rewritten, the others stay."""
    table = _collection(3, 20)
    kept = table.filter(pa.array([row["shard"] != 1 or row["width"] < 24 for row in table.to_pylist()]))
    rewritten = compact(kept, limit=LIMIT)
    assert sorted(rewritten["shard"].unique().to_pylist()) == [0, 2, 3]
    _check(rewritten)


def test_what_it_makes_it_leaves_alone() -> None:
    """Compacting twice changes nothing more, so that forced runs give the same bytes."""
    table = _collection(MAX_SMALL + 5, 2)
    folded = compact(table, limit=LIMIT)
    assert compact(folded, limit=LIMIT).equals(folded)


def test_damaged_images_are_found() -> None:
    """Of a flipped byte, a shard cut short and one that is gone, the images concerned are left out, the others kept."""
    table = _collection(4, 3)
    assert undamaged(table).equals(table)
    shards = sorted(paths.IMAGES.glob("*.tar"))
    content = bytearray(shards[0].read_bytes())
    content[600] ^= 1
    shards[0].write_bytes(content)
    shards[1].write_bytes(shards[1].read_bytes()[:1024])
    shards[2].unlink()
    whole = undamaged(table).to_pylist()
    assert sorted(row["shard"] for row in whole) == [0, 0, 3, 3, 3]


def test_damaged_image_is_not_copied() -> None:
    """Folding stops at a damaged image, and data/images is as it was."""
    table = _collection(MAX_SMALL + 1, 2)
    first = min(paths.IMAGES.glob("*.tar"))
    first.write_bytes(first.read_bytes().replace(b"\x89PNG", b"\x89png"))
    with pytest.raises(ImagesError, match="damaged"):
        compact(table, limit=LIMIT)
    assert len(list(paths.IMAGES.glob("*.tar"))) == MAX_SMALL + 1


def test_no_images_are_no_trouble() -> None:
    """An empty index stays empty."""
    empty = index.SCHEMA.empty_table()
    assert compact(empty, limit=LIMIT).equals(empty)
