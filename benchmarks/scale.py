"""Time and memory by the number of images: `python benchmarks/scale.py [NAME…] [--most COUNT] [--csv TABLE]`.

Names:
- manifest: `pipeline run manifest` without a base;
- archived, loose: adding one image in a clone that has none of the others, which are on the remote in archives or as
  loose files: `pipeline run listing`, `ingest` and `manifest`.

Only the added image really exists. For the others the benchmark generates the records of the pipeline: from a thousand
to `--most` (a million) images, with a factor of ten. Their descriptors decay as those of photographs do, there are
1,000 classes, and one image in a hundred is a slightly changed copy of another. `plot_scale.py` plots the table.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scratch import ENV, ROOT, new_project, run

sys.path.insert(0, str(ROOT))

from pipeline import paths
from pipeline.files import md5_of_bytes
from pipeline.images.index import INDEX, SCHEMA
from pipeline.images.shard_files import KEY, ShardFile, metadata_of
from pipeline.ingestion.catalogue import MEMBERS, Listing
from pipeline.ingestion.catalogue import SCHEMA as MEMBERS_SCHEMA
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.perceptual_hash import _TERMS, STEPS
from pipeline.ingestion.recipe import recipe_of
from pipeline.params import read_params
from pipeline.parquet import ROWS, hexadecimal

CLASSES, COPIES, ARCHIVE, SHARD, LENGTH = 1000, 0.01, 100_000, 1000, 60_000
STAGES = ("listing", "ingest", "manifest")
ADDED = {"manifest": "all new", "archived": "one added to archives", "loose": "one added to loose files"}
COLUMNS = ["name", "images", "stage", "seconds", "processor", "MiB"]


class Measured(NamedTuple):
    """A line of the table."""

    name: str
    images: int
    stage: str
    seconds: float
    processor: float
    """CPU seconds of all cores, which other processes on the machine hardly affect."""
    memory: int
    """The peak memory of the largest process, in MiB."""


def descriptors(count: int, random: np.random.Generator) -> npt.NDArray[np.int8]:
    """Generate descriptors of images: shape (count, 64)."""
    falling = np.array([1 / (row**2 + column**2) ** 0.6 for row, column in _TERMS])
    rows = np.empty((count, 64), np.int8)
    rows[:, 1] = random.integers(-110, 110, count)
    for start in range(0, count, ROWS):
        block = rows[start : start + ROWS]
        contrast = np.exp(random.normal(3.3, 0.8, len(block))).clip(0.5, 115)
        terms = random.normal(size=(len(block), 62)) * falling
        terms *= (contrast / np.linalg.norm(terms, axis=1))[:, None]
        octave = np.ceil(np.log2(np.maximum(contrast, 1) / 1.42))
        block[:, 0] = octave
        block[:, 2:] = np.round(terms * (STEPS / 2**octave)[:, None]).clip(-127, 127)
    copies, originals = random.choice(count, (2, int(count * COPIES)), replace=False)
    noise = random.integers(-1, 2, (len(copies), 62), dtype=np.int8)
    rows[copies] = rows[originals]
    rows[copies, 2:] = (rows[copies, 2:].astype(np.int16) + noise).clip(-127, 127)
    return rows


def ids_of(count: int) -> npt.NDArray[np.bytes_]:
    """Generate the ids of `count` images, sorted."""
    return np.sort(np.frombuffer(np.random.default_rng(1).bytes(16 * count), "S16"))


def numbers_of(count: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the images' names in data/raw, in random order relative to their ids."""
    return np.random.default_rng(2).permutation(count)


def classes_of(count: int) -> npt.NDArray[np.int64]:
    """Return the class of each image by number."""
    return np.random.default_rng(3).integers(0, CLASSES, count)


def tables(count: int, *, archived: bool) -> Iterator[pa.Table]:
    """Yield the index of `count` generated images, sorted by id, in tables of `ROWS` rows."""
    random = np.random.default_rng(0)
    ids = ids_of(count)
    shows, classes, order = descriptors(count, random), classes_of(count), numbers_of(count)
    for start in range(0, count, ROWS):
        block = slice(start, start + ROWS)
        numbers = order[block].tolist()
        size = len(numbers)
        sources = [place(number, int(classes[number]), archived=archived) for number in numbers]
        columns = {
            "id": hexadecimal(ids[block].tobytes(), 16),
            "label": [f"class {classes[number]:03d}" for number in numbers],
            "source": [source_of(*source) for source in sources],
            "attributes": [f'{{"camera": "camera {classes[number] % 7}"}}' for number in numbers],
            "shard": order[block].astype(np.int32) // SHARD,
            "offset": order[block] % SHARD * LENGTH,
            "length": np.full(size, LENGTH, np.int32),
            "width": np.full(size, 256, np.int32),
            "height": np.full(size, 256, np.int32),
            "md5": hexadecimal(random.bytes(16 * size), 16),
            "key": hexadecimal(random.bytes(8 * size), 8),
            "descriptor": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(64), size, [None, pa.py_buffer(shows[block].tobytes())]
            ),
        }
        yield pa.table(columns, schema=SCHEMA)


def place(number: int, label: int, *, archived: bool) -> tuple[str, str | None]:
    """Return the file of an image in data/raw, and its member if the file is an archive."""
    name = f"class {label:03d}/image {number:08d}.jpg"
    return (f"{number // ARCHIVE:05d}.zip", name) if archived else (name, None)


def write_project(project: Path, count: int, name: str) -> None:
    """Write the records of `count` generated images to `project`, and empty objects for their shards to the remote."""
    archived, params = name == "archived", read_params(project / paths.PARAMS)
    shards = {
        number: ShardFile(md5_of_bytes(b"%d" % number), 2 * SHARD * LENGTH) for number in range(-(-count // SHARD))
    }
    metadata = {b"recipe": recipe_of(params.ingest).encode(), KEY: metadata_of(shards).encode()}
    (project / paths.IMAGES).mkdir(parents=True, exist_ok=True)
    index = pq.ParquetWriter(project / INDEX, SCHEMA.with_metadata(metadata), compression="zstd")
    files: list[dict[str, str]] = []
    with index:
        for table in tables(count, archived=archived):
            index.write_table(table.replace_schema_metadata(metadata))
            if not archived:
                columns = (table[name].to_pylist() for name in ("id", "source"))
                files += [{"md5": one, "relpath": path} for one, path in zip(*columns, strict=True)]
    if archived:
        listed = MEMBERS_SCHEMA.with_metadata({"listing": Listing.of(params.ingest).name})
        with pq.ParquetWriter(project / MEMBERS, listed, compression="zstd") as members:
            for table in _members(count):
                members.write_table(table.replace_schema_metadata(listed.metadata))
        files = [{"md5": _archive(number), "relpath": f"{number:05d}.zip"} for number in range(-(-count // ARCHIVE))]
    _record(project, files)
    for shard in shards.values():
        path = project.parent / "remote/files/md5" / shard.md5[:2] / shard.md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _archive(number: int) -> str:
    """Return an MD5 for an archive that does not exist."""
    return md5_of_bytes(b"%d.zip" % number)


def _members(count: int) -> Iterator[pa.Table]:
    """Yield the members of the archives, in the order in which ingest writes them."""
    ids, classes = ids_of(count)[np.argsort(numbers_of(count))], classes_of(count)
    for archive in sorted(range(-(-count // ARCHIVE)), key=_archive):
        numbers = range(archive * ARCHIVE, min((archive + 1) * ARCHIVE, count))
        columns = {
            "archive": [_archive(archive)] * len(numbers),
            "position": list(range(len(numbers))),
            "member": [place(number, int(classes[number]), archived=True)[1] for number in numbers],
            "id": hexadecimal(ids[numbers.start : numbers.stop].tobytes(), 16),
            "reason": [""] * len(numbers),
            "detail": [""] * len(numbers),
        }
        yield pa.table(columns, schema=MEMBERS_SCHEMA)


def _record(project: Path, files: list[dict[str, str]]) -> None:
    """Write `files` to DVC's listing of data/raw, as in a clone that has none of them."""
    listing = json.dumps(sorted(files, key=lambda file: file["relpath"]), sort_keys=True).encode()
    oid = md5_of_bytes(listing)
    cached = project / ".dvc/cache/files/md5" / oid[:2] / f"{oid[2:]}.dir"
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(listing)
    said = f"outs:\n- md5: {oid}.dir\n  size: {len(files)}\n  nfiles: {len(files)}\n  hash: md5\n  path: raw\n"
    (project / f"{paths.RAW}.dvc").write_text(said)


def measure(name: str, images: int, project: Path, stage: str) -> Measured:
    """Run `stage` in `project`, and measure it."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", stage],
        cwd=project,
        env={**ENV, "PYTHONPATH": str(ROOT)},
        stdout=sys.stderr,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{stage} failed on {images:,} images")
    seconds, processor = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return Measured(name, images, stage, seconds, processor, usage.ru_maxrss // 1024)


def in_own_process(folder: Path, count: int, name: str) -> Path:
    """Create a project of `count` images in a separate process.

    Otherwise Linux would count this process's peak memory as that of the processes that it starts.
    """
    project = new_project(folder / "project")
    run(project, "dvc", "remote", "add", "--default", "far", str(folder / "remote"))
    maker = get_context("spawn").Process(target=write_project, args=(project, count, name))
    maker.start()
    maker.join()
    return project


def without_base(folder: Path, count: int) -> Iterator[Measured]:
    """Measure manifest with only new images."""
    yield measure("manifest", count, in_own_process(folder, count, "manifest"), "manifest")


def one_added(folder: Path, count: int, *, name: str) -> Iterator[Measured]:
    """Measure the stages with all images known except one."""
    project = in_own_process(folder, count, name)
    new = project / paths.RAW / "class 000/new.png"
    new.parent.mkdir(parents=True)
    Image.linear_gradient("L").save(new)
    for stage in STAGES:
        yield measure(name, count, project, stage)


BENCHMARKS = {
    "manifest": without_base,
    "archived": partial(one_added, name="archived"),
    "loose": partial(one_added, name="loose"),
}


def main() -> None:
    """Run the benchmarks named on the command line; each prints rows, and appends lines to the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all without one")
    parser.add_argument("--least", type=int, default=1000, help="images to begin with")
    parser.add_argument("--most", type=int, default=1_000_000, help="images to end with")
    parser.add_argument("--csv", type=Path, help="append to this table")
    parser.add_argument("--quick", action="store_true", help="only check that it runs; the results mean nothing")
    arguments = parser.parse_args()
    for name in arguments.names or BENCHMARKS:
        count = arguments.least
        while count <= (1000 if arguments.quick else arguments.most):
            with tempfile.TemporaryDirectory(prefix="treering-benchmark-") as folder:
                for one in BENCHMARKS[name](Path(folder), count):
                    what = f"{one.images:,} images, {ADDED[name]}: `{one.stage}`"
                    figure = f"{one.seconds:.1f} s, {one.processor:.1f} s of a core, {one.memory:,} MiB"
                    print(f"| {what} | {figure} | `scale.py {name}` |", flush=True)
                    if arguments.csv:
                        append(arguments.csv, one)
            count *= 10


def append(table: Path, line: Measured) -> None:
    """Add `line` to the CSV file `table`."""
    is_new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow([*line[:3], f"{line.seconds:.1f}", f"{line.processor:.1f}", line.memory])


if __name__ == "__main__":
    main()
