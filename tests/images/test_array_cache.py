"""Decoded images are cached as a whole or not at all, within limits; others are decoded when needed."""

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.images.array_cache import ArrayCache, digests
from pipeline.images.dataset import load, read_manifest
from pipeline.images.ordered import in_order
from pipeline.images.pixel_source import PixelSource, decoded
from pipeline.images.pixels import PixelReader, Pixels
from pipeline.params import Compute, read_params

READER = PixelReader("grey", 8)
IMAGE = 64
IMAGES = [Plain("cat", shade) for shade in range(20)]
COMPUTE = read_params(ROOT / "params.yaml").compute


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with stored images."""
    monkeypatch.chdir(tmp_path)
    store_images(train=IMAGES)


def md5(number: int) -> str:
    """Return a synthetic MD5 that sometimes ends in zeros."""
    return f"{number + 1:04x}".ljust(32, "0") if number % 2 else f"{number + 1:032x}"


def pixels(*numbers: int) -> Pixels:
    """Return a synthetic image for each number."""
    return np.stack([np.random.default_rng(number).integers(0, 256, READER.shape, np.uint8) for number in numbers])


def filled(*numbers: int, limit: int = 100) -> ArrayCache:
    """Return a cache with these images."""
    cache = decoded(READER, limit=limit * IMAGE)
    with cache.alone():
        if numbers:
            cache.add(digests([md5(number) for number in numbers]), pixels(*numbers))
    return cache


def held(cache: ArrayCache, upto: int = 30) -> set[int]:
    """Return the numbers of the images found, and assert that they are the right images."""
    rows, images = cache.find(digests([md5(number) for number in range(upto)]))
    found = {number for number, row in enumerate(rows) if row >= 0}
    assert all(np.array_equal(images[rows[number]], pixels(number)[0]) for number in found)
    return found


def files() -> list[Path]:
    """Return the cache's files."""
    return sorted(path for path in paths.DECODED.iterdir() if path.name != "lock")


def test_what_was_added_is_found() -> None:
    """Added images are found by this process and the next, after several additions."""
    assert held(filled()) == set()
    assert held(filled(3, 5, 8)) == {3, 5, 8}
    assert held(filled(1)) == {1, 3, 5, 8}
    assert len(files()) == 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1), st.integers(0, 400), st.sampled_from(["cut", "flip", "garbage", "remove"]))
def test_damage_is_noticed(which: int, place: int, harm: str) -> None:
    """In truncated, changed, extended or lost files exactly the intact images are found, and additions continue."""
    for path in paths.DECODED.glob("*.*"):
        path.unlink()
    filled(*range(6))
    path = files()[which]
    data = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(data[:place])
    elif harm == "flip":
        data[place % len(data)] ^= 1
        path.write_bytes(data)
    elif harm == "garbage":
        path.write_bytes(data + bytes(place % 60))
    else:
        path.unlink()
    found = held(filled())
    lost = set(range(6)) - found
    assert len(lost) <= (1 if harm == "flip" else 0 if harm == "garbage" else 6)
    assert held(filled(*sorted(lost), 7)) >= {*range(6), 7}


def test_room() -> None:
    """The room is what the limit leaves; many outdated images are removed to make room."""
    cache = filled(*range(8), limit=10)
    assert cache.room() == 2
    cache.tidy(digests([md5(number) for number in range(7)]))
    assert held(cache) == set(range(8))
    cache.tidy(digests([md5(number) for number in (1, 4, 6)]))
    assert held(cache) == {1, 4, 6}
    assert cache.room() == 7


def test_what_was_found_stays() -> None:
    """Images that were found stay readable, whatever other processes do with the files."""
    cache = filled(*range(8), limit=10)
    rows, images = cache.find(digests([md5(5)]))
    filled(limit=10).tidy(digests([md5(7)]))
    filled(9, limit=10)
    assert np.array_equal(images[rows], pixels(5))
    assert held(cache) == {7, 9}


def test_lower_limit() -> None:
    """A lower limit removes images."""
    filled(*range(8))
    cache = filled(limit=3)
    assert cache.room() == -5
    cache.tidy(digests([md5(number) for number in range(8)]))
    assert held(cache) == {0, 1, 2}


def test_other_reader() -> None:
    """Images of another size are ignored, and are removed if room is needed."""
    filled(1, 2)
    other = decoded(PixelReader("rgb", 4), limit=1000)
    assert (other.find(digests([md5(1)]))[0] < 0).all()
    other.tidy(digests([]))
    assert files() == []


def stack(room_for: int = 1, *, room: int | None = None, manifest: pd.DataFrame | None = None) -> PixelSource:
    """Return the stored images, with a limit in MiB, or in images."""
    compute: Compute = COMPUTE.model_copy(update={"decoded": room_for, "workers": 2})
    if room is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ArrayCache, "room", lambda self: room - self._count())
            return stack(room_for, manifest=manifest)
    chosen = read_manifest("train") if manifest is None else manifest
    return load(chosen, mode="grey", size=8, framing="fill", compute=compute).images


def shades(one: PixelSource, *batches: list[int]) -> list[list[int]]:
    """Return the shades of the images in each batch."""
    chosen = [np.array(batch, np.intp) for batch in batches]
    return [images[:, 0, 0, 0].tolist() for images in one.batches(chosen)]


EXPECTED = [[3, 1, 19], [], [7], [0, 2, 3, 3]]


@pytest.mark.parametrize("room", [None, 0, 7, 20])
@pytest.mark.parametrize("few", [1, 1000])
def test_batches(monkeypatch: pytest.MonkeyPatch, room: int | None, few: int) -> None:
    """Batches are the same, whichever images were decoded before, here or in other processes."""
    monkeypatch.setattr("pipeline.images.pixel_source.FEW", few)
    everything = stack()
    by_position = shades(everything, list(range(20)))[0]
    assert sorted(by_position) == list(range(20))
    for path in files():
        path.unlink()
    one = stack(room=room)
    assert int((one.rows < 0).sum()) == 20 - (20 if room is None else room)
    expected = [[by_position[position] for position in batch] for batch in EXPECTED]
    assert shades(one, *EXPECTED) == expected
    assert shades(one, *EXPECTED) == expected


@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_modes(mode: str) -> None:
    """Grey and colour images work in each case: decoded now, read from the cache, or decoded when needed."""
    manifest, positions = read_manifest("train"), [np.arange(20)]
    shape = PixelReader(mode, 8).shape
    first, again, never = (
        next(load(manifest, mode=mode, size=8, framing="fill", compute=compute).images.batches(positions))
        for compute in (COMPUTE, COMPUTE, COMPUTE.model_copy(update={"decoded": 0}))
    )
    assert first.shape == (20, *shape)
    assert np.array_equal(first, again)
    assert np.array_equal(first, never)


def test_nothing_is_decoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoded image is not decoded again, also with additional images; interrupted work is resumed."""
    half = read_manifest("train").iloc[::2]
    stack(manifest=half)
    read: list[int] = []
    original = PixelReader.__call__

    def counting(self: PixelReader, slots: list[object]) -> Pixels:
        read.append(len(slots))
        return original(self, slots)  # type: ignore[arg-type]

    monkeypatch.setattr(PixelReader, "__call__", counting)
    stack()
    stack()
    assert sum(read) == 10


def test_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """Images without room on a full disk are decoded when needed, with a one-line warning."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        one = stack()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (said,) = caplog.messages
    assert said == "data/.decoded: File too large; images are decoded whenever they are needed"
    assert sorted(shades(one, list(range(20)))[0]) == list(range(20))
    assert (stack().rows >= 0).all()


@pytest.mark.parametrize("few", [1, 1000])
def test_damaged_shard_and_full_disk_are_told_apart(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """A damaged or missing image is an error in any process, and is not mistaken for a full disk."""
    monkeypatch.setattr("pipeline.images.pixel_source.FEW", few)
    shard = paths.SHARDS / "000000.tar"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(ImagesError, match="is damaged"):
        stack()
    shard.unlink()
    with pytest.raises(ImagesError, match="No such file"):
        stack()


def test_in_order() -> None:
    """Results are in the order of requests, which are taken only as needed."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = in_order(abs, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) < 10
    assert list(results) == list(range(3, 100))
