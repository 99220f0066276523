"""The cost of ingest, against bare Pillow and against an empty DVC stage: `python benchmarks/ingest.py [NAME…]`.

Names: rate, ray, memory, loose, archives, many, idle; without a name, all of them. It takes about a quarter of an hour.
"""

import os
import re
import statistics
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

from PIL import Image
from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import archives, loose, new_floor, new_project, peak_memory, photographs, processor_seconds, run, timed

from pipeline.ingestion.additions.ray_decoding import FEWEST
from pipeline.ingestion.perceptual_hash import perceptual_hash


def _bare(paths: list[Path]) -> tuple[float, float]:
    """Process images as the stage does, with Pillow alone; returns images a second, and CPU seconds an image."""
    started, began = time.perf_counter(), time.process_time()
    for path in paths:
        image = Image.open(BytesIO(path.read_bytes()))
        image.load()
        small = image.resize((341, 256), Image.Resampling.BICUBIC, reducing_gap=3.0)
        perceptual_hash(small)
        small.save(BytesIO(), "JPEG", quality=95)
    return len(paths) / (time.perf_counter() - started), (time.process_time() - began) / len(paths)


def rate(folder: Path, scale: Scale) -> Rows:
    """Measure 500 × 375 JPEGs to 256 pixels on all cores, against loops, one on each core, that do the same."""
    project = new_project(folder / "project")
    count, cores = scale.count(12_000), os.cpu_count() or 1  # Many, so that the start of processes matters little.
    paths = photographs(project / "data/raw", count)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "python", "-m", "pipeline", "run", "listing")
    alone, together, stages, busy = [], [], [], []
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        deque(pool.map(_bare, [paths[:9]] * 9 * cores), 0)  # Starts all processes.
        for _ in range(scale.rounds(3)):
            alone.append(_bare(paths[:1000])[0])
            # Cores may share resources that a single loop has for itself.
            loops = list(pool.map(_bare, [paths[start::cores][:1000] for start in range(cores)]))
            together.append(sum(pace for pace, _ in loops))
            run(project, "rm", "-rf", "data/images", "data/shards")
            started = time.perf_counter()
            taken = processor_seconds(project, "python", "-m", "pipeline", "run", "ingest")
            stages.append(count / (time.perf_counter() - started))
            busy.append(count * statistics.mean(seconds for _, seconds in loops) / taken)
    ratios = [stage / loop for stage, loop in zip(stages, together, strict=True)]
    yield Row(
        "500 × 375 JPEGs to 256 px, against a bare Pillow loop on each core",
        f"{spread(ratios, '×')}; {statistics.median(stages):.0f} images/s against {statistics.median(together):.0f}",
    )
    yield Row("the same by seconds of a core, which other processes hardly change", spread(busy, "×"))
    ratios = [stage / loop / cores for stage, loop in zip(stages, alone, strict=True)]
    figure = f"{spread(ratios, '×')}; {statistics.median(alone):.0f} images/s in that process"
    yield Row("the same per core, against a loop that has the machine to itself", figure)


def on_ray(folder: Path, scale: Scale) -> Rows:
    """Measure the same images on a Ray cluster on this machine, against the stage's own processes."""
    project = new_project(folder / "project")
    count = max(scale.count(12_000), FEWEST)
    photographs(project / "data/raw", count)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "python", "-m", "pipeline", "run", "listing")
    params = project / "params.yaml"
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    for _ in range(scale.rounds(3)):
        for engine, found in rates.items():
            params.write_text(re.sub("(?m)^  engine: .*", f"  engine: {engine}", params.read_text()))
            run(project, "rm", "-rf", "data/images", "data/shards")
            found.append(count / timed(project, "python", "-m", "pipeline", "run", "ingest"))
    ratios = [ray / local for ray, local in zip(rates["ray"], rates["local"], strict=True)]
    yield Row(
        f"the same {count:,} by Ray on this machine, its start included, against processes of its own",
        f"{spread(ratios, '×')}; {statistics.median(rates['ray']):.0f} images/s against "
        f"{statistics.median(rates['local']):.0f}",
    )


def memory(folder: Path, scale: Scale) -> Rows:
    """Measure peak memory at 60,000 images against 10,000."""
    peaks = []
    for count in (scale.count(10_000), scale.count(60_000)):
        project = new_project(folder / f"{len(peaks)}")
        archives(project / "data/raw", count, scale.count(10_000))
        run(project, "dvc", "add", "--quiet", "data/raw")
        run(project, "python", "-m", "pipeline", "run", "listing")
        peaks.append(peak_memory(project, "python", "-m", "pipeline", "run", "ingest"))
    ratio = peaks[1] / peaks[0]
    yield Row(
        "peak memory of ingest at 60,000 images against 10,000", f"{ratio:.2f} × ({peaks[1]} MiB, {peaks[0]} MiB)"
    )


def loose_files(folder: Path, scale: Scale) -> Rows:
    """Measure 60,000 loose files, with no new file and with one new file, against a stage that does nothing."""
    project, floor = new_project(folder / "project"), new_floor(folder / "floor")
    for root in (project, floor):
        loose(root / "data/raw", scale.count(60_000))
        run(root, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro", "manifest")
    run(floor, "dvc", "repro")
    for name, new in (("nothing new", False), ("one added", True)):
        ratios, seconds, floors = [], [], []
        for number in range(scale.rounds(3)):
            for root in (project, floor):
                if new:
                    image = root / f"data/raw/class 0/new {number}.png"
                    Image.new("L", (28, 28), 10 * number).save(image)
            seconds.append(timed(project, "dvc", "repro", "manifest"))
            floors.append(timed(floor, "dvc", "repro"))
            ratios.append(seconds[-1] / floors[-1])
        yield Row(
            f"60,000 loose files, {name}: `dvc repro manifest` against DVC's floor",
            f"{spread(ratios, '×')}; {statistics.median(seconds):.1f} s against {statistics.median(floors):.1f} s",
        )


def in_archives(folder: Path, scale: Scale, full: int = 60_000) -> Rows:
    """Measure the same images in archives, with a small archive added."""
    project, count = new_project(folder / "project"), scale.count(full)
    archives(project / "data/raw", count, scale.count(10_000))
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro", "manifest")
    seconds = []
    for number in range(scale.rounds(3)):
        (project / f"new {number}/class 0").mkdir(parents=True)
        Image.new("L", (28, 28), 10 * number).save(project / f"new {number}/class 0/new.png")
        run(project / f"new {number}", sys.executable, "-m", "zipfile", "-c", f"../data/raw/{number}.zip", "class 0")
        seconds.append(timed(project, "dvc", "repro", "manifest"))
    name = f"{full:,} images in {full // 10_000} archives, a small one added: `dvc repro manifest`"
    yield Row(name, spread(seconds, "s", 1))


def idle(folder: Path, scale: Scale) -> Rows:
    """Measure `pipeline run ingest` with nothing to do, beyond the time that Python and DVC need for the project."""
    project = new_project(folder / "project")
    loose(project / "data/raw", 20)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "python", "-m", "pipeline", "run", "listing")
    run(project, "python", "-m", "pipeline", "run", "ingest")
    for name, dvc in (
        ("opening DVC's repository", "import dvc.repo; dvc.repo.Repo()"),
        ("`import dvc.repo` alone", "import dvc.repo"),
    ):
        beyond = [
            timed(project, "python", "-m", "pipeline", "run", "ingest") - timed(project, "python", "-c", dvc)
            for _ in range(scale.rounds(9))
        ]
        yield Row(f"`ingest` with nothing to do, beyond {name}", spread(beyond, "s"))


BENCHMARKS: dict[str, Benchmark] = {
    "rate": rate,
    "ray": on_ray,
    "memory": memory,
    "loose": loose_files,
    "archives": in_archives,
    "many": partial(in_archives, full=600_000),
    "idle": idle,
}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
