"""Missing shards are handled by `compute.fetch`."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from support import far, stored
from support.stored import Plain, store_images

from pipeline import parquet, paths
from pipeline.errors import MissingDataError
from pipeline.images.dataset import locate, read_manifest
from pipeline.images.index import INDEX, SCHEMA
from pipeline.params import read_params


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with images in several shards, which are only on the remote."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(stored, "SHARD", 2**14)
    for path in (paths.PIPELINE, paths.PARAMS):
        shutil.copy(ROOT / path, path)
    far.init()
    many = [Plain("cat", shade) for shade in range(120)]
    store_images(train=many, test=[Plain("cat", shade, 9) for shade in range(4)])
    far.record_images()
    far.move_to(tmp_path / "remote")
    far.set_remote(str(tmp_path / "remote"))


def streams(fetch: str, split: str = "train") -> bool:
    """Whether the images of a split are read in ranges; if not, assert that all are local."""
    compute: Any = read_params(ROOT / "params.yaml").compute.model_copy(update={"fetch": fetch})
    found = locate(read_manifest(split), compute)
    assert (found.elsewhere is None) == all((paths.SHARDS / f"{slot.shard:06d}.tar").exists() for slot in found.slots)
    return found.elsewhere is not None


def test_fetched() -> None:
    """`all` fetches everything."""
    assert not streams("all")


def test_streamed() -> None:
    """`stream` fetches nothing."""
    assert streams("stream")
    assert not paths.SHARDS.exists()


def test_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` streams few images, and fetches many, but not if the disk is too full."""
    assert streams("auto", "test")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10_000))
    assert streams("auto")


def test_auto_fetches_most() -> None:
    """If most missing images are needed, all shards are fetched, and read locally from then on."""
    assert not streams("auto")
    assert not streams("stream", "test")


@pytest.mark.parametrize(("fetch", "expected"), [("all", False), ("auto", False), ("stream", True)])
def test_a_shard_is_missing(fetch: str, *, expected: bool) -> None:
    """A cached shard is restored, unless nothing may be fetched."""
    assert not streams("all")
    (paths.SHARDS / "000001.tar").unlink()
    assert streams(fetch) == expected


def test_index_of_another_commit() -> None:
    """data/images that differs from dvc.lock is never replaced; its own shards are used."""
    store_images(train=[Plain("cat", shade, 10) for shade in range(120)])
    index = paths.IMAGES / "index.parquet"
    content = index.read_bytes()
    assert not streams("all")
    (paths.SHARDS / "000001.tar").unlink()
    with pytest.raises(MissingDataError, match=r"data/shards/000001\.tar: .* cannot be found"):
        streams("all")
    assert index.read_bytes() == content


def test_earlier_layout(tmp_path: Path) -> None:
    """Shards in data/images, as recorded by releases before data/shards, are found."""
    store_images(train=[Plain("cat", shade, 11) for shade in range(120)])
    for path in sorted(paths.SHARDS.iterdir()):
        path.rename(paths.IMAGES / path.name)
    parquet.write_tables({INDEX: parquet.read_table(INDEX, SCHEMA).replace_schema_metadata({})})
    far.record_images()
    far.move_to(tmp_path / "remote")
    assert streams("stream")
    assert not paths.SHARDS.exists()
    assert not streams("all")
    assert not paths.IMAGES.exists()
