"""The speed of loading images, against other libraries in the same run: `python benchmarks/loading.py [NAME…]`.

Names:
- small, photos: batches with the same augmentation, against torchvision's ImageFolder, WebDataset and Hugging Face
  datasets, each with a DataLoader of two workers;
- jump: the first batch after an interruption, against torchdata's StatefulDataLoader and reading all batches again.
"""

import os
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import ROOT, loose, photographs

from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.images.pixels import to_pixels
from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.drawing.budget import length_of
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import Cursor, Draws, Rounds
from pipeline.training.feeding.loader import TrainLoader

# Peers are installed separately, since torchvision slows down every import of lightning.
sys.path += [str(ROOT / ".venv/timm"), str(ROOT / ".venv/bench")]
os.environ["HF_HUB_OFFLINE"] = "1"
BATCH = 64
PARAMS: Train = read_params(ROOT / "params.yaml").train.model_copy(update={"batch_size": BATCH})
WORKERS = {"num_workers": 2, "persistent_workers": True}
Batches = Iterator[Any]


def decoded(folder: Path, size: int, mode: str) -> Dataset:
    """Return the images in `folder`, decoded, as the stage has them after their first reading."""
    files = sorted(folder.rglob("*.*"))
    pixels = np.ascontiguousarray([to_pixels(Image.open(path), mode=mode, size=size) for path in files])
    return dataset(pixels, [path.parent.name for path in files])


def dataset(pixels: Any, labels: list[str]) -> Dataset:
    """Return a data set of images with rising ids."""
    ids = np.array([f"{number:032x}" for number in range(len(labels))])
    return Dataset(ids=ids, labels=np.array(labels), images=PixelSource.of(pixels))


def train_loader(data: Dataset) -> TrainLoader:
    """Return the stage's loader at a cold start."""
    length = length_of(PARAMS, images=len(data), changed=len(data), warm=False)
    keys, none = keys_of(data.ids), np.empty(0, np.intp)
    draws = Draws(keys=keys, arrived=none, count=length.draws, start=Cursor(0, 0), seed=PARAMS.seed)
    return TrainLoader(data, sorted(set(data.labels)), PARAMS, Rounds(draws=draws, length=length, before=0))


def forever(loader: Any) -> Batches:
    """Yield batches, epoch after epoch."""
    while True:
        yield from loader


def transform(size: int, mode: str) -> Callable[[Image.Image], torch.Tensor]:
    """Return torchvision's transform to a randomly shifted tensor."""
    from torchvision import transforms

    most = round(PARAMS.augment.shift * size)
    grey = [transforms.Grayscale()] if mode == "grey" else []
    scaled = [transforms.Resize(size), transforms.CenterCrop(size)] if size > 28 else []
    shifted = transforms.RandomCrop(size, padding=most, padding_mode="edge")
    change: Callable[[Image.Image], torch.Tensor] = transforms.Compose(
        [*grey, *scaled, shifted, transforms.PILToTensor()]
    )
    return change


def image_folder(folder: Path, size: int, mode: str) -> Any:
    """Return torchvision's data set of `folder`."""
    from torchvision.datasets import ImageFolder

    return ImageFolder(str(folder), transform(size, mode))


def with_image_folder(folder: Path, size: int, mode: str) -> Batches:
    """Return batches of torchvision's ImageFolder."""
    from torch.utils.data import DataLoader

    return forever(DataLoader(image_folder(folder, size, mode), batch_size=BATCH, shuffle=True, **WORKERS))


def with_webdataset(folder: Path, size: int, mode: str) -> Batches:
    """Return batches of WebDataset, from four shards of the same files, shuffled in a buffer."""
    import webdataset

    files = sorted(folder.rglob("*.*"))
    shards = [folder.parent / f"shard-{number}.tar" for number in range(4)]
    for number, shard in enumerate(shards):
        with tarfile.open(shard, "w") as tar:
            for path in files[number::4]:
                for name, data in ((f"{path.stem}{path.suffix}", path.read_bytes()), (f"{path.stem}.cls", b"0")):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, BytesIO(data))
    data = (
        webdataset.WebDataset([str(shard) for shard in shards], shardshuffle=4, empty_check=False)
        .shuffle(1000)
        .decode("pil")
        .to_tuple("png;jpg", "cls")
        .map_tuple(transform(size, mode))
        .batched(BATCH)
    )
    return forever(webdataset.WebLoader(data, batch_size=None, **WORKERS))


def with_hugging_face(folder: Path, size: int, mode: str) -> Batches:
    """Return batches of Hugging Face datasets, from an Arrow table of the same files."""
    import datasets
    from torch.utils.data import DataLoader

    files = sorted(folder.rglob("*.*"))
    encoded = [{"bytes": path.read_bytes(), "path": None} for path in files]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    data = datasets.Dataset.from_dict({"image": encoded, "label": [0] * len(files)}, features=features)
    data.save_to_disk(str(folder.parent / "arrow"))
    change = transform(size, mode)

    def changed(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"image": [change(image) for image in rows["image"]], "label": rows["label"]}

    stored = datasets.load_from_disk(str(folder.parent / "arrow")).with_transform(changed)
    loader = DataLoader(stored, batch_size=BATCH, shuffle=True, **WORKERS)
    return (batch["image"][None] for batch in forever(loader))


PEERS = {
    "ImageFolder": with_image_folder,
    "WebDataset": with_webdataset,
    "Hugging Face datasets": with_hugging_face,
}


def rate(batches: Batches, count: int) -> float:
    """Return images a second, after the first batch."""
    next(batches)
    started, images = time.perf_counter(), 0
    for batch in islice(batches, max(2, count // BATCH)):
        images += len(batch[0])
    return images / (time.perf_counter() - started)


class Kind(NamedTuple):
    """A kind of images."""

    name: str
    size: int
    mode: str


def against_peers(folder: Path, kind: Kind, count: int, rounds: int) -> Rows:
    """Compare the rates of peers over `count` images with ours over five times as many, measured in turn."""
    mine = forever(train_loader(decoded(folder, kind.size, kind.mode)))
    for peer, make in PEERS.items():
        theirs = make(folder, kind.size, kind.mode)
        rates = []
        for _ in range(rounds):
            rates.append((rate(mine, 5 * count), rate(theirs, count)))
            time.sleep(2)  # Until the peer's workers have filled their prefetch queues and are idle.
        figure = spread([one / other for one, other in rates], "×", 1)
        best = [f"{max(side):,.0f}" for side in zip(*rates, strict=True)]
        yield Row(f"loading {kind.name}, against {peer}", f"{figure}; {best[0]} images/s against {best[1]}")


def small(folder: Path, scale: Scale) -> Rows:
    """Compare loading of 28 × 28 PNGs."""
    (folder / "images").mkdir()
    loose(folder / "images", scale.count(20_000))
    return against_peers(folder / "images", Kind("28 × 28 PNGs", 28, "grey"), scale.count(10_000), scale.rounds(5))


def photos(folder: Path, scale: Scale) -> Rows:
    """Compare loading of 500 × 375 JPEGs at 224 pixels."""
    photographs(folder / "images", scale.count(1000))
    kind = Kind("500 × 375 JPEGs to 224 px", 224, "rgb")
    return against_peers(folder / "images", kind, scale.count(1000), scale.rounds(5))


def first_batch(loader: Any) -> float:
    """Return the seconds until the first batch arrives."""
    started = time.perf_counter()
    next(iter(loader))
    return time.perf_counter() - started


def jump(folder: Path, scale: Scale) -> Rows:
    """Measure the time to the first batch at 90 % of an epoch, against that at its start."""
    from torch.utils.data import DataLoader
    from torchdata.stateful_dataloader import StatefulDataLoader

    count = scale.count(60_000)
    noise = np.random.default_rng(0).integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)
    loader = train_loader(dataset(noise, ["cat", "dog"] * (count // 2)))
    seconds: dict[int, list[float]] = {0: [], 9 * len(loader) // 10: []}
    for _ in range(scale.rounds(50)):
        for place, taken in seconds.items():
            loader.load_state_dict({"position": place})
            taken.append(first_batch(loader))
    start, jumped = seconds.values()
    ratios = [there / here for here, there in zip(start, jumped, strict=True)]
    name = "first batch at 90 % of an epoch, against its start"
    yield Row(name, f"{spread(ratios, '×')}; {1000 * min(jumped):.1f} ms")

    count = scale.count(20_000)
    (folder / "images").mkdir()
    loose(folder / "images", count)
    data = image_folder(folder / "images", 28, "grey")
    stateful = partial(StatefulDataLoader, data, batch_size=BATCH, shuffle=True, num_workers=2)
    read, place = stateful(), 9 * count // BATCH // 10
    for _ in islice(read, place):
        pass
    state, starts, resumed = read.state_dict(), [], []
    for _ in range(scale.rounds(5)):
        starts.append(first_batch(stateful()))
        again = stateful()
        again.load_state_dict(state)
        resumed.append(first_batch(again))
    ratios = [there / here for here, there in zip(starts, resumed, strict=True)]
    yield Row(f"{name}: StatefulDataLoader on ImageFolder", f"{spread(ratios, '×')}; {1000 * min(resumed):.0f} ms")
    started = time.perf_counter()
    for _ in islice(DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=2), place):
        pass
    yield Row(
        "reading what was read before instead: DataLoader on ImageFolder", f"{time.perf_counter() - started:.1f} s"
    )
    shutil.rmtree(folder / "images")


BENCHMARKS: dict[str, Benchmark] = {"small": small, "photos": photos, "jump": jump}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
