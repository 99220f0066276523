"""The cost of training from the remote, against local shards: `python benchmarks/remote.py [NAME…]`.

Names:
- first: the first reading of images, into the cache of decoded images, from a web server with a latency of 0, 30 and
  100 ms;
- beyond: reading without that cache, in the order of an epoch: single images, or blocks that are kept;
- peers: the loader without that cache, against torchvision's ImageFolder and WebDataset;
- bytes: the disk space of an image;
- adding: adding ten images in a fresh clone of 60,000 in 6 archives, which are all on a server with a latency of 30 ms;
- adding-photographs: the same with 6,000 photographs, a tenth as many.

Except for adding, images have 500 × 375 pixels, are stored as `ingest` stores them, and are read at 224 pixels by two
decoding processes.
"""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from loading import BATCH, forever, rate, train_loader, with_image_folder, with_webdataset
from reporting import Benchmark, Row, Rows, Scale, main, spread
from ruamel.yaml import YAML
from scratch import ROOT, Images, archives, new_project, photograph_files, photographs, run, small_images, timed

from pipeline import parquet, paths
from pipeline.images import index
from pipeline.images.dataset import Dataset, load, read_manifest
from pipeline.images.shards import ShardReader
from pipeline.params import read_params

SERVER = ROOT / "tests/support/range_server.py"
COUNT, SIZE, LATENCIES = 4000, 224, (0, 30, 100)
# No space for decoded images, so that each image is decoded whenever it is needed.
BEYOND = {"decoded": 0}


def prepare(folder: Path, count: int) -> tuple[Path, Path]:
    """Change to a new project without data/shards; returns the remote, and the folder that has the shards."""
    project = new_project(folder / "project")
    photographs(project / "data/raw", count)
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    params["manifest"]["split"].update(val=0, test=0)
    params["train"]["size"] = SIZE
    yaml.dump(params, path)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro", "--quiet", "manifest")
    run(project, "dvc", "remote", "add", "--default", "far", str(folder / "remote"))
    run(project, "dvc", "push", "--quiet", "data/images", "data/shards.dvc")
    os.chdir(project)
    paths.SHARDS.rename(folder / "shards")
    shutil.rmtree(".dvc/cache")
    return folder / "remote", folder / "shards"


@contextmanager
def far_away(remote: Path, latency: int) -> Iterator[None]:
    """Serve the images from a web server with a latency in milliseconds."""
    command = [sys.executable, str(SERVER), str(remote), "--latency", str(latency / 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        run(Path(), "dvc", "remote", "modify", "far", "url", f"http://127.0.0.1:{server.stdout.readline().strip()}")
        yield
        server.kill()


@contextmanager
def here(shards: Path) -> Iterator[None]:
    """Have the images in data/shards."""
    paths.SHARDS.symlink_to(shards)
    yield
    paths.SHARDS.unlink()


def forget() -> None:
    """Clear the caches, so that all images are fetched and decoded again."""
    from pipeline.versioning.remote import silence
    from pipeline.versioning.repository import _repository

    for cached in (paths.DECODED, paths.STORED):
        shutil.rmtree(cached, ignore_errors=True)
    _repository.cache_clear()
    silence.cache_clear()


def opened(**compute: object) -> Dataset:
    """Open the training images."""
    params = read_params(paths.PARAMS)
    changed = params.compute.model_copy(update={"workers": 2, "fetch": "stream", **compute})
    return load(read_manifest("train"), mode="rgb", size=SIZE, framing="fill", compute=changed)


def first_time() -> float:
    """Return the images a second of the first reading, until all are decoded and cached."""
    forget()
    started = time.perf_counter()
    return len(opened()) / (time.perf_counter() - started)


def epoch(dataset: Dataset, seed: int) -> float:
    """Return the images a second of an epoch in random order."""
    order = np.random.default_rng(seed).permutation(len(dataset))
    started = time.perf_counter()
    for _ in dataset.images.batches(np.array_split(order, range(BATCH, len(order), BATCH))):
        pass
    return len(order) / (time.perf_counter() - started)


def first(folder: Path, scale: Scale) -> Rows:
    """Measure the first reading."""
    remote, shards = prepare(folder, scale.count(COUNT))
    for latency in LATENCIES:
        rates: list[tuple[float, float]] = []
        for _ in range(scale.rounds(3)):
            with here(shards):
                local = first_time()
            with far_away(remote, latency):
                rates.append((first_time(), local))
        yield compared(f"the first reading, {latency} ms away, against shards that are here", rates)


def beyond(folder: Path, scale: Scale) -> Rows:
    """Measure epochs without space for decoded images."""
    remote, shards = prepare(folder, scale.count(COUNT))
    ways: Mapping[str, Mapping[str, object]] = {"single images": {"stored": 0}, "pieces, kept": {}}
    for latency in LATENCIES:
        for way, compute in ways.items():
            rates: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
            for _ in range(scale.rounds(2)):
                forget()
                with here(shards):
                    near = opened(**BEYOND)
                    local = {number: epoch(near, number) for number in rates}
                with far_away(remote, latency):
                    distant = opened(**BEYOND, **compute)
                    for number, found in rates.items():
                        found.append((epoch(distant, number), local[number]))
            for number, found in rates.items():
                yield compared(f"epoch {number} beyond the cache, {way}, {latency} ms away, against shards here", found)


def peers(folder: Path, scale: Scale) -> Rows:
    """Compare the loader, without cached images, with other loaders."""
    _, shards = prepare(folder, scale.count(COUNT))
    loose = folder / "loose"
    table = parquet.read_table(index.INDEX, index.SCHEMA)
    with ShardReader(shards) as reader:
        for row in table.select(["id", "label", "shard", "offset", "length"]).to_pylist():
            (loose / row["label"]).mkdir(parents=True, exist_ok=True)
            data = reader.read(row["shard"], row["offset"], row["length"])
            (loose / row["label"] / f"{row['id']}.jpg").write_bytes(data)
    with here(shards):
        mine = forever(train_loader(opened(**BEYOND)))
        for name, peer in (("ImageFolder", with_image_folder), ("WebDataset", with_webdataset)):
            theirs, rates = peer(loose, SIZE, "rgb"), list[tuple[float, float]]()
            for _ in range(scale.rounds(3)):
                rates.append((rate(mine, scale.count(2000)), rate(theirs, scale.count(2000))))
                time.sleep(2)  # Until the peer's workers have filled their prefetch queues and are idle.
            yield compared(f"loading without decoded images, against {name}", rates)


def bytes_of(folder: Path, scale: Scale) -> Rows:
    """Measure the disk space of an image."""
    remote, shards = prepare(folder, scale.count(COUNT))
    stored = sum(path.stat().st_size for path in shards.glob("*.tar"))
    with far_away(remote, 0):
        dataset = opened()
    kept = sum(path.stat().st_size for path in paths.DECODED.iterdir())
    for name, size in (("shards", stored), ("data/.decoded", kept)):
        yield Row(f"{name}, an image", f"{size / len(dataset):,.0f} bytes")


def adding(folder: Path, scale: Scale, full: int = 60_000, images: Images = small_images) -> Rows:
    """Measure what an addition fetches in a clone without any of the other images, and how long it takes."""
    project, count, remote = new_project(folder / "project"), scale.count(full), folder / "remote"
    archives(project / "data/raw", count, count // 6, images)
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    params["train"].update(epochs=1)
    yaml.dump(params, path)
    run(project, "dvc", "remote", "add", "--default", "far", str(remote))
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro", "--quiet")
    run(project, "git", "add", "--all")
    run(project, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "trained")
    run(project, "dvc", "push", "--quiet")
    seconds, shares, without_base = list[float](), list[float](), list[float]()
    for number in range(scale.rounds(3)):
        clone = folder / f"clone-{number}"
        run(folder, "git", "clone", "--quiet", str(project), str(clone))
        (clone / "data/raw").mkdir()
        with zipfile.ZipFile(clone / "data/raw/more.zip", "w") as archive:
            for name, content in islice(images(count + 10), count, None):
                archive.writestr(name, content)
        os.chdir(clone)
        with far_away(remote, 30):
            seconds.append(timed(clone, "dvc", "repro", "--quiet", "manifest"))
        sizes = {path.relative_to(remote): path.stat().st_size for path in remote.rglob("*") if path.is_file()}
        cache = clone / ".dvc/cache"
        come = sum(size for path, size in sizes.items() if (cache / path).exists())
        base = sum(path.stat().st_size for path in paths.BASE.iterdir())  # The working directory is the clone.
        shares.append(100 * come / sum(sizes.values()))
        without_base.append(100 * (come - base) / sum(sizes.values()))
    yield Row("ten images more in a clone without the others: fetched", f"{spread(shares, '% of the set')}")
    yield Row("of that, what is not the last model", f"{spread(without_base, '% of the set')}")
    yield Row("all of that but training, 30 ms away", spread(seconds, "s"))


def compared(name: str, rates: list[tuple[float, float]]) -> Row:
    """Return a row of our rates against others, measured in turn."""
    best = [f"{max(side):,.0f}" for side in zip(*rates, strict=True)]
    return Row(name, f"{spread([one / other for one, other in rates], '×')}; {best[0]} images/s against {best[1]}")


BENCHMARKS: dict[str, Benchmark] = {
    "first": first,
    "beyond": beyond,
    "peers": peers,
    "bytes": bytes_of,
    "adding": adding,
    "adding-photographs": partial(adding, full=6000, images=photograph_files),
}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
