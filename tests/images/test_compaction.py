"""Shards are merged and rewritten without losing or changing an image."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.images import index
from pipeline.images.compaction import MAX_SMALL, compact, holding_removed, removed_in, undamaged
from pipeline.images.shards import ShardReader, ShardWriter

LIMIT = 2**20


def _data(number: int) -> bytes:
    return b"\x89PNG" + hashlib.sha512(str(number).encode()).digest() * 20


def _collection(shards: int, each: int) -> pa.Table:
    """Return an index of `shards` shards in data/shards with `each` images."""
    paths.SHARDS.mkdir(parents=True)
    rows = []
    for shard in range(shards):
        with ShardWriter(paths.SHARDS, first=shard, limit=LIMIT) as writer:
            for number in range(shard * each, (shard + 1) * each):
                name = hashlib.md5(str(number).encode()).hexdigest()
                data = _data(number)
                _, offset = writer.append(f"{name}.png", data)
                row = {"id": name, "shard": shard, "offset": offset, "length": len(data), "width": number}
                rows.append({**row, "md5": hashlib.md5(data).hexdigest()})
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["id"])), index.SCHEMA)


def _check(table: pa.Table) -> None:
    """Assert that every image is where `table` says."""
    with ShardReader(paths.SHARDS) as reader:
        for row in table.to_pylist():
            assert reader.read(row["shard"], row["offset"], row["length"]) == _data(row["width"])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)


def test_few_shards_are_left_alone() -> None:
    """A few small shards are left alone."""
    table = _collection(MAX_SMALL, 3)
    assert compact(table, limit=LIMIT).equals(table)


def test_many_small_shards_become_one() -> None:
    """Too many small shards are merged, and every image is kept."""
    table = _collection(MAX_SMALL + 1, 3)
    folded = compact(table, limit=LIMIT)
    assert folded["shard"].unique().to_pylist() == [MAX_SMALL + 1]
    assert folded.drop_columns(["shard", "offset"]).equals(table.drop_columns(["shard", "offset"]))
    _check(folded)


def test_mostly_dead_shards_are_rewritten() -> None:
    """A shard with few remaining images is rewritten, and others stay."""
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
    """Images in a changed, truncated or missing shard are left out, and all others are kept."""
    table = _collection(4, 3)
    assert undamaged(table, range(4)).equals(table)
    shards = sorted(paths.SHARDS.glob("*.tar"))
    content = bytearray(shards[0].read_bytes())
    content[600] ^= 1
    shards[0].write_bytes(content)
    shards[1].write_bytes(shards[1].read_bytes()[:1024])
    shards[2].unlink()
    whole = undamaged(table, range(4)).to_pylist()
    assert sorted(row["shard"] for row in whole) == [0, 0, 3, 3, 3]
    assert undamaged(table, {3}).equals(table)
    assert undamaged(table, {0, 3}).num_rows == table.num_rows - 1


def test_damaged_image_is_not_copied() -> None:
    """Merging stops at a damaged image, and data/shards does not change."""
    table = _collection(MAX_SMALL + 1, 2)
    first = min(paths.SHARDS.glob("*.tar"))
    first.write_bytes(first.read_bytes().replace(b"\x89PNG", b"\x89png"))
    with pytest.raises(ImagesError, match="damaged"):
        compact(table, limit=LIMIT)
    assert len(list(paths.SHARDS.glob("*.tar"))) == MAX_SMALL + 1


def test_no_images_are_no_trouble() -> None:
    """An empty index stays empty."""
    empty = index.SCHEMA.empty_table()
    assert compact(empty, limit=LIMIT).equals(empty)


def test_shards_that_hold_what_was_removed() -> None:
    """Shards that contain any removed image, or one to erase, are found; others are not."""
    table = _collection(4, 5)
    gone = {row["id"]: row["shard"] for row in table.to_pylist() if row["width"] in (3, 11)}
    kept = table.filter(pa.array([one not in gone for one in table["id"].to_pylist()]))
    assert holding_removed(table, None) == set()
    assert holding_removed(kept, None) == {0, 2}
    for image_id, shard in gone.items():
        assert holding_removed(kept, {image_id, "0" * 32}) == {shard}
        assert removed_in(kept, shard) == {image_id}
    assert holding_removed(kept, set()) == set()
    assert holding_removed(kept, set(kept["id"].to_pylist())) == set()


def test_a_copy_in_another_shard_is_erased() -> None:
    """An image that came back in a new shard still has its bytes in the old one until that is rewritten."""
    table = _collection(3, 4)
    rows = table.to_pylist()
    (back,) = (row for row in rows if row["width"] == 5)
    with ShardWriter(paths.SHARDS, first=3, limit=LIMIT) as writer:
        back["shard"], back["offset"] = writer.append(f"{back['id']}.png", _data(5))
    now = pa.Table.from_pylist(rows, index.SCHEMA)
    assert holding_removed(now, {back["id"]}) == {1}
    assert holding_removed(compact(now, limit=LIMIT, also={1}), None) == set()


def test_erased_images_are_in_no_shard() -> None:
    """Shards with erased images are rewritten, and kept images are where the index says."""
    table = _collection(3, 8)
    kept = table.filter(pa.array([row["width"] != 10 for row in table.to_pylist()]))
    rewritten = compact(kept, limit=LIMIT, also=holding_removed(kept, None))
    assert sorted(rewritten["shard"].unique().to_pylist()) == [0, 2, 3]
    _check(rewritten)
    assert _data(10) in (paths.SHARDS / "000001.tar").read_bytes()
    assert _data(10) not in (paths.SHARDS / "000003.tar").read_bytes()
    assert holding_removed(rewritten, None) == set()


def test_damage_hides_nothing() -> None:
    """Removed images behind a damaged header are found."""
    table = _collection(1, 6)
    kept = table.filter(pa.array([row["width"] not in (0, 4) for row in table.to_pylist()]))
    shard = paths.SHARDS / "000000.tar"
    content = bytearray(shard.read_bytes())
    content[:100] = bytes(100)
    shard.write_bytes(content)
    assert removed_in(kept, 0) == {hashlib.md5(b"4").hexdigest()}
