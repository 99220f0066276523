"""How long `manifest` takes, and how much memory, for a made-up index: `python benchmarks/manifest_million.py [count]`.

The images are made up as their descriptors: spectra that fall off as those of photographs do, of 1,000 classes. One in
a hundred is a slightly changed copy of another. The index is as ingest writes it; there is no base.
"""

import os
import shutil
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from pipeline.images.index import INDEX, SCHEMA  # noqa: E402
from pipeline.ingestion.perceptual_hash import _TERMS, STEPS  # noqa: E402

CLASSES, COPIES, BLOCK = 1000, 0.01, 50_000


def descriptors(count: int, random: np.random.Generator) -> npt.NDArray[np.int8]:
    """Of made-up images: shape (count, 64)."""
    falling = np.array([1 / (row**2 + column**2) ** 0.6 for row, column in _TERMS])
    rows = np.empty((count, 64), np.int8)
    rows[:, 1] = random.integers(-110, 110, count)
    for start in range(0, count, BLOCK):
        block = rows[start : start + BLOCK]
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


def hexadecimal(count: int, length: int, random: np.random.Generator) -> pa.Array:
    """So many texts of `length` hexadecimal digits."""
    text = pa.py_buffer(random.bytes(count * length // 2).hex().encode())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(length), count, [None, text]).cast(pa.string())


def index(count: int) -> pa.Table:
    """The index of so many made-up images, by id."""
    random = np.random.default_rng(0)
    ids = hexadecimal(count, 32, random).sort()
    classes = random.integers(0, CLASSES, count)
    shows = pa.py_buffer(descriptors(count, random))
    columns = {
        "id": ids,
        "label": pa.array([f"class {number:03d}" for number in classes]),
        "source": pa.array([f"class {classes[row]:03d}/image {row:07d}.jpg" for row in range(count)]),
        "attributes": pa.array([f'{{"camera": "camera {number % 7}"}}' for number in classes]),
        "shard": pa.array(np.arange(count, dtype=np.int32) // 1000),
        "offset": pa.array(np.arange(count) % 1000 * 60_000),
        "length": pa.repeat(pa.scalar(60_000, pa.int32()), count),
        "width": pa.repeat(pa.scalar(256, pa.int32()), count),
        "height": pa.repeat(pa.scalar(256, pa.int32()), count),
        "md5": hexadecimal(count, 32, random),
        "key": hexadecimal(count, 16, random),
        "descriptor": pa.FixedSizeBinaryArray.from_buffers(pa.binary(64), count, [None, shows]),
    }
    return pa.table(columns, schema=SCHEMA)


def write_index(path: Path, count: int) -> None:
    """Write the index of so many made-up images."""
    path.parent.mkdir(parents=True)
    pq.write_table(index(count), path, compression="zstd")


def main() -> None:
    """Make the index in an empty folder, run the stage there, and say what it took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory() as folder:
        # In a process of its own: Linux counts what a process needed as needed by those that it starts.
        maker = get_context("spawn").Process(target=write_index, args=(Path(folder) / INDEX, count))
        maker.start()
        maker.join()
        shutil.copy(ROOT / "params.yaml", folder)
        start = time.perf_counter()
        stage = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "manifest"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=sys.stderr,
        )
        _, status, usage = os.wait4(stage.pid, 0)
        seconds = time.perf_counter() - start
    if status:
        sys.exit(1)
    print(f"manifest of {count:,} images: {seconds:.1f} s, {usage.ru_maxrss // 1024:,} MiB")


if __name__ == "__main__":
    main()
