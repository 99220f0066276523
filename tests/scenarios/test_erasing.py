"""A removed image is erased: from its shard by the next run, and everywhere by the commands in docs/team.md."""

import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Project
from PIL import Image
from support.blocks import blocks_of

from pipeline import parquet, paths
from pipeline.images import index
from pipeline.images.shards import shard_name

CALL = ("python", "-m", "pipeline")


@pytest.fixture
def remote(project: Project, tmp_path: Path) -> Path:
    """Return a folder that the project pushes to."""
    project.dvc("remote", "add", "--default", "team", str(tmp_path / "remote"))
    return tmp_path / "remote"


def odd(seed: int) -> bytes:
    """Return an image that is not stored in its original bytes."""
    out = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24), np.uint8)).save(out, "BMP")
    return out.getvalue()


def put(project: Project, *seeds: int) -> list[str]:
    """Put such images into data/raw, and return their ids."""
    folder = project.root / "data/raw/digit 0"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"odd {seed}.bmp").write_bytes(odd(seed))
    return [hashlib.md5(odd(seed)).hexdigest() for seed in seeds]


def save(project: Project, *stage: str) -> str:
    """Run `stage`, or all, commit and push, and return the output of `dvc repro`."""
    if not (project.root / "data/raw.dvc").exists():
        project.dvc("add", "--quiet", "data/raw")
    out = project.repro(*stage)
    project.commit()
    project.dvc("push", "--quiet")
    return out


def put_loose_and_packed(project: Project) -> list[str]:
    """Put an image into data/raw, and another one with a third into an archive there, and return their ids."""
    ids = put(project, 1, 2)
    inside = project.root / "data/raw/digit 0/odd 2.bmp"
    with zipfile.ZipFile(project.root / "data/raw/more.zip", "w") as archive:  # Uncompressed, to find its bytes.
        archive.writestr("digit 0/odd.bmp", inside.read_bytes())
        archive.writestr("digit 0/other.bmp", odd(3))
    inside.unlink()
    return ids


def stored(project: Project, image_id: str) -> bytes:
    """Return the bytes of an image in data/shards."""
    rows = parquet.read_table(project.root / index.INDEX, index.SCHEMA).to_pylist()
    (row,) = (row for row in rows if row["id"] == image_id)
    data = (project.root / paths.SHARDS / shard_name(row["shard"])).read_bytes()
    return data[row["offset"] :][: row["length"]]


def files_with(content: bytes, *folders: Path) -> list[Path]:
    """Return the files in `folders` that contain `content`."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if content in path.read_bytes())


def holders(project: Project, image_id: str) -> dict[str, list[str]]:
    """Return the files that contain an image, by name and hash."""
    out = project.run(*CALL, "trace", image_id, "--json", ok=None).out
    told: dict[str, Any] = json.loads(out.partition("\npipeline: ")[0])  # About unavailable generations.
    return {f"{one['name']} {one['md5'][:8]}": one["where"] for one in told["holders"]["found"]}


@pytest.mark.slow
def test_what_was_removed_before(project: Project, remote: Path) -> None:
    """An image that is already removed from data/raw is erased from its shard by its id; others do not change."""
    project.add_digits(0, 12)
    image, other = put(project, 1, 2)
    save(project, "manifest")
    content, kept, shards = stored(project, image), stored(project, other), project.root / paths.SHARDS
    project.run(*CALL, "remove", image)
    assert "13 images, 0 new, 1 removed" in save(project, "manifest")
    manifest = project.read("data/manifest/train.csv")
    assert files_with(content, shards) == [shards / "000000.tar"]
    everywhere = ["workspace", "cache", "remote 'team'"]
    assert [where for name, where in holders(project, image).items() if "000000.tar" in name] == [everywhere]
    assert f"pipeline remove --erase {image}" in project.run(*CALL, "trace", image).out
    assert "1 image to erase: commit data/erased.csv" in project.run(*CALL, "remove", "--erase", image).out
    assert "data/erased.csv changed" in project.run(*CALL, "status").out
    assert "13 images, 0 new, 0 removed, 0 refused; 0 decoded" in save(project, "manifest")
    assert files_with(content, shards) == []
    assert stored(project, other) == kept
    assert project.read("data/manifest/train.csv") == manifest
    assert list(holders(project, image).values()) == [["cache", "remote 'team'"]] * 2
    assert files_with(content, remote)


@pytest.mark.slow
def test_under_ancestor_no_shard_keeps_it(project: Project) -> None:
    """With `on_removed: ancestor` the run that detects a removal erases the image, and earlier ones as well."""
    project.add_digits(0, 12)
    first, second = put(project, 1, 2)
    project.dvc("add", "--quiet", "data/raw")
    project.repro("ingest")
    contents, shards = [stored(project, one) for one in (first, second)], project.root / paths.SHARDS
    project.run(*CALL, "remove", first)
    project.repro("ingest")
    assert [len(files_with(one, shards)) for one in contents] == [1, 1]
    project.set_params(manifest={"on_removed": "ancestor"})
    assert "0 removed, 0 refused; 0 decoded" in project.repro("ingest")
    assert [len(files_with(one, shards)) for one in contents] == [0, 1]
    project.run(*CALL, "remove", second)
    project.repro("ingest")
    assert [len(files_with(one, shards)) for one in contents] == [0, 0]
    before = project.snapshot("data/images", "data/shards")
    project.repro("--force", "ingest")
    assert project.snapshot("data/images", "data/shards") == before


@pytest.mark.slow
def test_older_shards_of_others_do_not_bring_it_back(project: Project, remote: Path, tmp_path: Path) -> None:
    """A clone with old shards does not publish erased bytes, since Git records that they are erased."""
    project.add_digits(0, 12)
    (image,) = put(project, 1)
    save(project, "ingest")
    content = stored(project, image)
    other = project.clone(tmp_path / "clone")
    for target in ("data/raw.dvc", "data/images", "data/shards.dvc"):
        other.dvc("pull", "--quiet", target)
    project.run(*CALL, "remove", "--erase", "digit 0/odd 1.bmp")
    save(project, "ingest")
    other.git("pull", "--quiet")
    other.run(*CALL, "sync")
    assert files_with(content, other.root / paths.SHARDS)
    other.add_digits(12, 15)
    assert "15 images, 3 new, 1 removed" in other.repro("ingest")
    assert not files_with(content, other.root / paths.SHARDS)
    assert files_with(content, remote)


def test_dry_run_notes_nothing(project: Project) -> None:
    """A dry run writes neither data/raw nor data/erased.csv; an id without a place works."""
    put(project, 1)
    before = project.snapshot("data/raw", "data/erased.csv")
    said = project.run(*CALL, "remove", "--erase", "--dry-run", "digit 0/odd 1.bmp", "0" * 32).out
    assert "would remove 1 image from 1 place" in said
    assert "2 images to erase" in said
    assert project.snapshot("data/raw", "data/erased.csv") == before
    assert "nothing in it is called" in project.run(*CALL, "remove", "0" * 32, ok=False).out


def documented() -> list[str]:
    """Return the commands in docs/team.md, one per line."""
    (block,) = (block for block in blocks_of(ROOT / "docs/team.md") if "--erase ID" in block.text)
    return block.commands.splitlines()


@pytest.mark.slow
@pytest.mark.nightly
def test_documented_commands_erase_it_everywhere(project: Project, remote: Path) -> None:
    """After these commands neither a file's nor a member's bytes are in workspace, cache or remote."""
    project.set_params(manifest={"on_removed": "ancestor"})
    project.add_digits(0, 100)
    save(project)
    loose, packed = put_loose_and_packed(project)
    project.add_digits(100, 120)
    save(project)
    everything = [odd(1), odd(2), stored(project, loose), stored(project, packed)]
    for content in everything:
        # Of the file or archive, and of the shard: in workspace, cache and remote.
        assert len(files_with(content, project.root, remote)) == 3
    for image in (loose, packed):
        assert list(holders(project, image).values()) == [["workspace", "cache", "remote 'team'"]] * 2
    for command in documented():
        project.run("bash", "-c", command.replace("ID", f"{loose} {packed}"))
    for content in everything:
        assert files_with(content, project.root, remote) == []
    for image in (loose, packed):
        assert holders(project, image) == {}
    assert project.git("status", "--porcelain") == ""
    assert project.repro().count("didn't change") >= 4
    assert odd(3) in (project.root / "data/raw/more.zip").read_bytes()
