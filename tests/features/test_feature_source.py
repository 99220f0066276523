"""Features are computed once, and are the same bits whether stored, without room, or damaged on disk."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stored import Plain, store_images
from torch import Tensor

from pipeline import paths
from pipeline.features.backbone import Backbone, Features
from pipeline.features.source import FeatureSource, Views
from pipeline.images.dataset import Dataset, load, read_manifest
from pipeline.images.pixel_source import PixelSource, Positions
from pipeline.models.network import Spec, build
from pipeline.params import read_params

COUNT = 20
SPEC = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
COMPUTE = read_params(ROOT / "params.yaml").compute.model_copy(update={"workers": 1})
NOWHERE = 10**9
WIDTH = 4 * 128


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with stored images."""
    monkeypatch.chdir(tmp_path)
    store_images(train=[Plain("cat", shade) for shade in range(COUNT)], val=[Plain("dog", 100), Plain("dog", 101)])


class Counting(Backbone):
    """A backbone that counts its images, except noise."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__(build(SPEC), SPEC)
        assert self.name
        self.seen = 0

    def __call__(self, images: Tensor) -> Features:
        """Count the images."""
        self.seen = getattr(self, "seen", 0) + len(images)
        return super().__call__(images)


def dataset(split: str = "train") -> Dataset:
    """Return the images of a split."""
    return load(read_manifest(split), mode="grey", size=8, framing="fill", compute=COMPUTE)


def darker(images: Tensor, positions: Positions, numbers: Positions) -> Tensor:
    """Darken each image by the numbers of its view and position."""
    return images - torch.from_numpy(positions + 3 * numbers).to(torch.uint8)[:, None, None, None]


def views(count: int = 3, recipe: str = "darker") -> Views:
    """Return views of the training images."""
    return Views(count=count, recipe=recipe, ids=list(dataset().ids), change=darker)


def everything(source: FeatureSource, count: int = 1) -> Features:
    """Return all views of all images."""
    positions, numbers = divmod(np.arange(COUNT * count), count)
    return np.concatenate(list(source.batches([(positions[:7], numbers[:7]), (positions[7:], numbers[7:])])))


def wanted(count: int = 1, *, changed: bool = False) -> Features:
    """Return the same, computed."""
    positions, numbers = divmod(np.arange(COUNT * count), count)
    images = torch.from_numpy(next(iter(dataset().images.batches([positions]))))
    return Counting()(darker(images, positions, numbers) if changed else images)


def test_they_are_computed_once() -> None:
    """Features are computed again only for other views or another backbone."""
    backbone = Counting()
    assert np.array_equal(everything(FeatureSource(dataset().images, backbone, limit=NOWHERE)), wanted())
    assert backbone.seen == COUNT
    again = Counting()
    assert np.array_equal(everything(FeatureSource(dataset().images, again, limit=NOWHERE)), wanted())
    assert not again.seen
    seen = FeatureSource(dataset().images, again, views(), limit=NOWHERE)
    assert again.seen == 3 * COUNT
    assert np.array_equal(everything(seen, 3), wanted(3, changed=True))
    FeatureSource(dataset().images, again, views(2), limit=NOWHERE)
    FeatureSource(dataset("val").images, again, limit=NOWHERE)
    assert again.seen == 3 * COUNT + 2
    FeatureSource(dataset().images, again, views(2, "lighter"), limit=NOWHERE)
    assert again.seen == 5 * COUNT + 2


@given(room=st.integers(0, 3 * COUNT + 2), count=st.integers(1, 3))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_has_no_room_is_computed_when_needed(room: int, count: int) -> None:
    """For any room the bits are the same; old features are deleted first, and the validation images' stay."""
    for path in paths.FEATURES.glob("*"):
        path.unlink()
    everything(FeatureSource(dataset().images, Counting(1), limit=NOWHERE))
    kept = dataset("val").images.slots.md5s
    limit = room * WIDTH
    source = FeatureSource(dataset().images, Counting(), views(count), limit=limit, alive=kept)
    assert np.array_equal(everything(source, count), wanted(count, changed=True))
    assert sum(path.stat().st_size for path in paths.FEATURES.glob("*.features")) <= limit


@pytest.mark.parametrize("ending", ["features", "rows"])
@pytest.mark.parametrize("damage", ["cut", "other bytes"])
def test_damaged_files(ending: str, damage: str) -> None:
    """Features that do not match their checksum are computed again."""
    everything(FeatureSource(dataset().images, Counting(), limit=NOWHERE))
    (path,) = paths.FEATURES.glob(f"*.{ending}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3] if damage == "cut" else data[:-30] + bytes(30))
    again = Counting()
    assert np.array_equal(everything(FeatureSource(dataset().images, again, limit=NOWHERE)), wanted())
    assert 0 < again.seen < COUNT


def test_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk one line says so, and features are computed when needed."""
    images = dataset().images
    paths.FEATURES.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * WIDTH, before[1]))
    try:
        source = FeatureSource(images, Counting(), limit=NOWHERE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == "data/.features: File too large; features are computed whenever they are needed"
    assert np.array_equal(everything(source), wanted())


def test_images_without_a_name() -> None:
    """Features of images in memory are computed whenever they are needed."""
    pixels = next(iter(dataset().images.batches([np.arange(COUNT)])))
    source = FeatureSource(PixelSource.of(pixels), Counting(), limit=NOWHERE)
    assert np.array_equal(everything(source), wanted())
    assert not paths.FEATURES.exists()
