"""Objects in DVC's cache that contain an image are found without any record, whatever else the cache contains."""

import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dvc_objects.fs.utils import tmp_fname

from pipeline.commands.forget.remnants import Remnants, Search
from pipeline.commands.forget.stores import Objects, every_store
from pipeline.images import index
from pipeline.images.shards import ShardWriter
from pipeline.lineage.seen_images import NOTHING, SEEN, write_seen
from pipeline.versioning.lock import StageRecord

CACHE = Path(".dvc/cache/files/md5")
IMAGE, OTHER = b"the image as it came", b"another one"
ID, OTHER_ID = (hashlib.md5(one).hexdigest() for one in (IMAGE, OTHER))


@pytest.fixture(autouse=True)
def _repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the working directory a repository with an empty cache."""
    monkeypatch.chdir(tmp_path)
    for command in ("git init --quiet", "dvc init --quiet"):
        subprocess.run(command.split(), check=True)
    (tmp_path / "aside").mkdir()


def cache(content: bytes, suffix: str = "") -> str:
    """Put an object into the cache, and return its hash."""
    oid = hashlib.md5(content).hexdigest() + suffix
    (CACHE / oid[:2]).mkdir(parents=True, exist_ok=True)
    (CACHE / oid[:2] / oid[2:]).write_bytes(content)
    return oid


def cache_directory(**files: str) -> str:
    """Put the listing of a directory into the cache; `files` are hashes by name, where `_` stands for a dot."""
    listed = [{"md5": md5, "relpath": name.replace("_", ".")} for name, md5 in files.items()]
    return cache(json.dumps(listed).encode(), ".dir")


def zipped(**members: bytes) -> bytes:
    """Return a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def shard(*ids: str) -> bytes:
    """Return a shard of these images, ten bytes each."""
    with ShardWriter(Path("aside"), first=0, limit=2**20) as writer:
        for one in ids:
            writer.append(f"{one}.png", b"0123456789")
    return Path("aside/000000.tar").read_bytes()


def rows(*ids: str) -> bytes:
    """Return an index that has these images in shard 0."""
    blank = {field.name: "" for field in index.SCHEMA if field.type == pa.string()}
    numbers = {"shard": 0, "offset": 512, "length": 10, "width": 1, "height": 1, "descriptor": bytes(64)}
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**blank, **numbers, "id": one} for one in ids], index.SCHEMA), out)
    return out.getvalue()


def search(*records: dict[str, StageRecord]) -> Remnants:
    """Search for the image."""
    return Search([ID], Objects(every_store(), Path("aside"))).run(records)


def found() -> dict[str, str]:
    """Return the kind of each object found, by its hash."""
    return {one.oid: one.what for one in search().found}


def test_nothing() -> None:
    """Nothing is found in an empty cache or among other images."""
    assert search() == Remnants([], [], frozenset(), [])
    cache_directory(**{"000000_tar": cache(shard(OTHER_ID)), "index_parquet": cache(rows(OTHER_ID))})
    cache(OTHER)
    cache(zipped(a=OTHER))
    cache(b"what,ever\n")
    assert search().found == []


def test_copies_that_a_kill_left_unfinished() -> None:
    """An incomplete copy by DVC is found whatever it contains, since a partial archive cannot be searched."""
    (CACHE / "ab").mkdir(parents=True)
    unfinished = CACHE / "ab" / tmp_fname()
    unfinished.write_bytes(zipped(a=IMAGE)[:40])
    cache(OTHER)
    assert found() == {f"ab{unfinished.name}": "copy"}
    (store,) = every_store()
    store.delete(f"ab{unfinished.name}")
    assert not unfinished.exists()


def test_shards() -> None:
    """A shard is found by the index, or by the names of its members if the index is missing the image or unreadable."""
    oid = cache(shard(ID, OTHER_ID))
    cache_directory(**{"000000_tar": oid, "index_parquet": cache(rows(ID, OTHER_ID))})
    assert found() == {oid: "shard"}
    (CACHE / oid[:2] / oid[2:]).unlink()
    removed = cache(shard(OTHER_ID, ID))
    cache_directory(**{"000000_tar": removed, "index_parquet": cache(rows(OTHER_ID))})
    assert found() == {removed: "shard"}
    damaged = cache(shard(ID))
    cache_directory(**{"000000_tar": damaged, "index_parquet": cache(b"PAR1")})
    cache_directory(x_tar=cache(b"no tar"), index_parquet=cache(b""))
    assert found() == {removed: "shard", damaged: "shard"}


def test_files_and_archives() -> None:
    """The file itself is found, and archives of every kind that ingest has never seen, even if damaged."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("x")
        info.size = len(IMAGE)
        archive.addfile(info, io.BytesIO(IMAGE))
    oids = [cache(zipped(a=OTHER, b=IMAGE)), cache(out.getvalue())]
    cache_directory(a_png=cache(IMAGE), b_zip=oids[0], c_tgz=oids[1], d_zip=cache(b"PK\3\4"), e_zip="0" * 32)
    assert found() == {ID: "file", oids[0]: "archive", oids[1]: "archive"}


def test_models(tmp_path: Path) -> None:
    """Weights are found if the model or one of its bases has seen the image; its metadata stays."""
    import pandas as pd

    write_seen(NOTHING.then(pd.Series(["cat"], index=[ID], dtype=str)), tmp_path)
    seen, lineage = cache((tmp_path / SEEN).read_bytes()), cache(b"{}")
    weights, others = cache(b"weights"), cache(b"other weights")
    model = cache_directory(checkpoint_ckpt=weights, lineage_json=lineage, seen_npz=seen)
    write_seen(NOTHING.then(pd.Series(["cat"], index=[OTHER_ID], dtype=str)), tmp_path)
    cache_directory(checkpoint_ckpt=others, lineage_json=lineage, seen_npz=cache((tmp_path / SEEN).read_bytes()))
    silent = cache_directory(checkpoint_ckpt=cache(b"third"), lineage_json=lineage, seen_npz=cache(b"damaged"))
    told = search()
    assert ({one.oid for one in told.found}, told.models) == ({weights}, [model])
    assert told.unknown == [f"{silent}: the model does not record what it has seen"]


@pytest.mark.parametrize(
    ("tested", "suspected", "goes"),
    [
        (ID, OTHER_ID, True),
        (OTHER_ID, ID, True),
        (OTHER_ID, OTHER_ID, False),
        (ID, None, True),
        (OTHER_ID, None, False),
    ],
)
def test_reports(tested: str, suspected: str | None, goes: bool) -> None:  # noqa: FBT001
    """A page is found if it shows the image, in test or among suspects; earlier releases had no list of suspects."""
    outs = {"data/report/report.html": cache(b"<html>"), "data/report/predictions.csv": cache(b"id,predicted\n")}
    if suspected:
        outs["data/report/suspects.csv"] = cache(f"id,suggested\n{suspected},cat\n".encode())
    deps = {"data/manifest/test.csv": cache(f"id,label\n{tested},cat\n".encode())}
    gone = {one.oid for one in search({"evaluate": StageRecord(deps=deps, outs=outs)}).found}
    assert gone == ({*outs.values()} if goes else set())


def test_what_nothing_names() -> None:
    """Objects of uncommitted runs, and of interrupted uploads, are searched."""
    oids = {
        cache(b"<!DOCTYPE html><html>"): "report",
        cache(f"id,label,predicted\n{ID},cat,dog\n".encode()): "report",
        cache(f"id,source,split,label,suggested\n{ID},a,train,cat,dog\n".encode()): "report",
        cache(zipped(a=IMAGE)): "archive",
        cache(shard(ID)): "archive",
        cache(zipped(**{"archive/data.pkl": b"x"})): "weights",
    }
    cache(f"id,label,predicted\n{OTHER_ID},cat,dog\n".encode())
    cache(f"id,label,md5\n{ID},cat,{ID}\n".encode())
    part = cache(zipped(b=IMAGE), ".x1y2")
    assert found() == {**oids, part: "archive"}


def test_damaged_listing() -> None:
    """A damaged listing is reported, since its content is unknown."""
    oid = cache(b"[{]", ".dir")
    assert search().unknown == [f"{oid}: its listing is damaged"]
