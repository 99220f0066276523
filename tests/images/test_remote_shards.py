"""Images of absent shards are read in ranges from cache and remote, and checked."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Project
from support import far, stored
from support.servers import S3, Server, Ssh
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.errors import ImagesError, MissingDataError
from pipeline.images import block_cache, ranges, remote_shards
from pipeline.images.dataset import Dataset, load, locate, read_manifest
from pipeline.images.pixels import Pixels
from pipeline.params import Compute, read_params

IMAGES = [Plain("cat", shade, side) for shade in range(0, 250, 2) for side in (8, 9)]
BATCH = 16
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with images in several recorded shards, and small blocks."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(stored, "SHARD", 2**15)
    monkeypatch.setattr("pipeline.images.remote_shards.BLOCK", 2**12)
    monkeypatch.setattr(block_cache, "BLOCK", 2**12)
    for path in (paths.PIPELINE, paths.PARAMS):
        shutil.copy(ROOT / path, path)
    far.init()
    store_images(train=IMAGES)


@pytest.fixture
def names(expected: Pixels, tmp_path: Path) -> dict[str, str]:
    """Move the shards to a remote, and return their MD5s by name."""
    assert len(expected) == len(IMAGES)
    listed = far.record_images()
    far.move_to(tmp_path / "remote")
    return {name: md5 for name, md5 in listed.items() if name.endswith(".tar")}


@pytest.fixture
def expected() -> Pixels:
    """Return all images, read locally."""
    found = everything(opened(fetch="all"))
    shutil.rmtree(paths.DECODED)
    return found


@contextmanager
def remote(tmp_path: Path, *options: str) -> Iterator[str]:
    """Make a server with the moved files the remote."""
    with far.served(tmp_path / "remote", *options) as url:
        far.set_remote(url)
        yield url


def compute(**changes: Any) -> Compute:
    """Return params that stream and cache nothing, unless changed."""
    changes = {"fetch": "stream", "decoded": 0, "stored": 0, **changes}
    return read_params(ROOT / "params.yaml").compute.model_copy(update=changes)


def opened(**changes: Any) -> Dataset:
    """Return the training images."""
    return load(read_manifest("train"), mode="grey", size=8, framing="fill", compute=compute(**changes))


def everything(dataset: Dataset) -> Pixels:
    """Return all images by id, read in another order."""
    order = np.random.default_rng(0).permutation(len(dataset))
    batches = np.array_split(order, range(BATCH, len(order), BATCH))
    found = np.concatenate(list(dataset.images.batches(batches)))
    return found[np.argsort(order)]


@pytest.mark.parametrize("changes", [{}, {"stored": 100}, {"decoded": 100}])
def test_images_are_those_that_were_stored(
    expected: Pixels, names: dict[str, str], tmp_path: Path, changes: dict[str, int]
) -> None:
    """Images are right if read singly, in cached blocks, or into the cache of decoded images; no shard is fetched."""
    assert len(names) > 2
    with remote(tmp_path, "--latency", "0.01"):
        dataset = opened(**changes)
        assert np.array_equal(everything(dataset), expected)
        assert np.array_equal(everything(dataset), expected)
    assert not paths.SHARDS.exists()
    assert not any((far.OBJECTS / md5[:2] / md5[2:]).exists() for md5 in names.values())
    assert any(paths.STORED.glob("*/*")) == ("stored" in changes)


def test_half_of_the_shards_are_here(expected: Pixels, tmp_path: Path) -> None:
    """One shard is in data/shards, one in DVC's cache, another is damaged there; the rest is read from the remote."""
    kept = {path.name: path.read_bytes() for path in sorted(paths.SHARDS.iterdir())}
    listed = far.record_images()
    far.move_to(tmp_path / "remote")
    paths.SHARDS.mkdir()
    (paths.SHARDS / "000000.tar").write_bytes(kept["000000.tar"])
    for name, content in (("000001.tar", kept["000001.tar"]), ("000002.tar", kept["000002.tar"][::-1])):
        path = far.OBJECTS / listed[name][:2] / listed[name][2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in ("000000.tar", "000001.tar"):
        (tmp_path / "remote/files/md5" / listed[name][:2] / listed[name][2:]).unlink()
    with remote(tmp_path):
        assert np.array_equal(everything(opened()), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Ssh, S3])
def test_kinds_of_remotes(expected: Pixels, kind: Callable[[Path], Server], tmp_path: Path) -> None:
    """Other kinds of remotes support ranges, too, by themselves or by our code."""
    far.record_images()
    (tmp_path / "server").mkdir()

    project = Project(Path.cwd())
    with kind(tmp_path / "server") as server:
        server.configure(project)
        project.dvc("push", "data/images", "data/shards.dvc")
        for folder in (far.OBJECTS, paths.IMAGES, paths.SHARDS):
            shutil.rmtree(folder)
        far.reopen()
        assert np.array_equal(everything(opened()), expected)


@pytest.mark.usefixtures("names")
def test_a_shared_folder(expected: Pixels, tmp_path: Path) -> None:
    """A remote that is a folder is read in ranges."""
    far.set_remote(str(tmp_path / "remote"))
    assert np.array_equal(everything(opened()), expected)


@pytest.mark.usefixtures("names")
def test_lost_connections(expected: Pixels, tmp_path: Path) -> None:
    """If a server closes connections now and then, requests are repeated."""
    with remote(tmp_path, "--drop", "5"):
        assert np.array_equal(everything(opened()), expected)


def fails(error: type[Exception], dataset: Dataset) -> str:
    """Return the error for unavailable images."""
    with pytest.raises(error) as raised:
        everything(dataset)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.usefixtures("names")
def test_folder_that_is_not_mounted(tmp_path: Path) -> None:
    """A folder that is not mounted is a one-line error."""
    far.set_remote(str(tmp_path / "remote"))
    locate(read_manifest("train"), compute())  # So that the index is in DVC's cache.
    (tmp_path / "remote").rename(tmp_path / "aside")
    far.reopen()
    said = fails(MissingDataError, opened())
    assert said.startswith("data/shards: cannot be read from remote 'far': no such folder ")
    assert said.endswith("; run `dvc repro` again when the remote can be read; it continues where it stopped")


@pytest.mark.usefixtures("names")
def test_server_that_goes_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a server disappears, it is waited for; then one line names the shard."""
    with remote(tmp_path):
        dataset = opened()
        next(dataset.images.batches([np.arange(4)]))
    monkeypatch.setattr(ranges, "PATIENCE", 1.0)
    said = fails(MissingDataError, dataset)
    assert said.startswith("data/shards/00000")
    assert " cannot be read from remote 'far': " in said
    assert said.endswith("; run `dvc repro` again when the remote can be read; it continues where it stopped")


def test_server_that_comes_back(expected: Pixels, names: dict[str, str], tmp_path: Path) -> None:
    """If the server comes back, training continues."""
    del names
    with remote(tmp_path) as url:
        dataset = opened()
        next(dataset.images.batches([np.arange(4)]))
    with far.later(0.7, tmp_path / "remote", "--port", url.rsplit(":", 1)[1]):
        assert np.array_equal(everything(dataset), expected)


def test_wrong_bytes(names: dict[str, str], tmp_path: Path) -> None:
    """Damaged bytes on the remote are an error with a hint."""
    with remote(tmp_path):
        locate(read_manifest("train"), compute())  # So that the index is in DVC's cache.
    with remote(tmp_path, "--damage") as url:
        said = fails(ImagesError, opened())
    shard, byte = said.split(": the image at byte ")
    md5 = names[Path(shard).name]
    assert f"is damaged on remote 'far' ({url}/files/md5/{md5[:2]}/{md5[2:]}); delete that object" in byte
    assert said.endswith("and run `dvc push` where data/shards is whole")


def test_server_without_ranges(names: dict[str, str], tmp_path: Path) -> None:
    """A server without ranges, which would send whole shards, is an error."""
    del names
    with remote(tmp_path, "--whole"):
        said = fails(MissingDataError, opened())
    assert "it does not support byte ranges; set compute.fetch to all" in said


def test_shard_that_was_not_pushed(names: dict[str, str], tmp_path: Path) -> None:
    """A shard that was not pushed is an error that says what to push."""
    for md5 in names.values():
        (tmp_path / "remote/files/md5" / md5[:2] / md5[2:]).unlink()
    with remote(tmp_path):
        said = fails(MissingDataError, opened())
    assert "is not on remote 'far'; run `dvc push` where it was committed, then run this again" in said


def test_what_is_kept_is_checked(expected: Pixels, names: dict[str, str], tmp_path: Path) -> None:
    """Cached blocks that are damaged are read again; intact ones are not."""
    del names
    with remote(tmp_path):
        assert np.array_equal(everything(opened(stored=100)), expected)
        kept = sorted(paths.STORED.glob("*/*"))
        for path in kept[::2]:
            path.write_bytes(path.read_bytes()[:100])
        assert np.array_equal(everything(opened(stored=100)), expected)
    dataset = opened(stored=100)
    assert np.array_equal(everything(dataset), expected)  # The server is gone.


def test_memory_is_bounded(names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more batches are read ahead than there is room for."""
    del names
    monkeypatch.setattr(remote_shards, "IMAGES_AHEAD", 3 * BATCH)
    asked = []

    def batches() -> Iterator[np.ndarray[Any, Any]]:
        for start in range(0, 160, BATCH):
            asked.append(start)
            yield np.arange(start, start + BATCH)

    with remote(tmp_path):
        for number, _ in enumerate(opened().images.batches(batches()), 1):
            assert len(asked) <= min(number + 3, 10)
    assert len(asked) == 10


@pytest.mark.parametrize("room", [0, 3, 8])
def test_disk_is_bounded(
    expected: Pixels, names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """With room for some blocks, the images of others are read each time."""
    del names
    limited = block_cache.BlockCache.__init__

    def limit(self: block_cache.BlockCache, folder: Path, **_: int) -> None:
        limited(self, folder, limit=room * 2**12)

    monkeypatch.setattr(block_cache.BlockCache, "__init__", limit)
    with remote(tmp_path):
        dataset = opened(stored=1)
        for _ in range(2):
            assert np.array_equal(everything(dataset), expected)
            assert len(list(paths.STORED.glob("*/*"))) == room


def test_full_disk(
    expected: Pixels,
    names: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On a full disk nothing is cached, with a single warning."""
    del names
    monkeypatch.setattr(paths, "STORED", Path("/proc/nothing"))
    with remote(tmp_path):
        assert np.array_equal(everything(opened(stored=1)), expected)
    ours = [record for record in caplog.records if record.name.startswith("pipeline")]
    assert [record.getMessage() for record in ours] == [
        "/proc/nothing: No such file or directory; no more is kept there"
    ]
