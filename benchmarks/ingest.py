"""What ingest costs, against bare Pillow and against DVC doing nothing: `python benchmarks/ingest.py [NAME…]`.

Names: rate, memory, loose, archives, many, idle; all of them without one. Takes about a quarter of an hour.
"""

import os
import statistics
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from scratch import archives, loose, new_floor, new_project, peak_memory, photographs, report, run, timed

from pipeline.phash import perceptual_hash

# Photographs for `rate`: so many that starting processes counts little.
COUNT = 12_000


def rate(folder: Path) -> None:
    """500 × 375 JPEGs to 256 pixels, by all cores, against a loop in one process that does the same to an image."""
    project = new_project(folder / "project")
    paths = photographs(project / "data/raw", COUNT)
    run(project, "dvc", "add", "--quiet", "data/raw")
    loops, stages = [], []
    for _ in range(3):
        started = time.perf_counter()
        for path in paths[:1000]:
            image = Image.open(BytesIO(path.read_bytes()))
            image.load()
            small = image.resize((341, 256), Image.Resampling.BICUBIC, reducing_gap=3.0)
            perceptual_hash(small)
            small.save(BytesIO(), "JPEG", quality=95)
        loops.append(1000 / (time.perf_counter() - started))
        run(project, "rm", "-rf", "data/images")
        stages.append(COUNT / timed(project, "python", "-m", "pipeline.ingest"))
    cores = os.cpu_count() or 1
    ratios = sorted(stage / loop / cores for stage, loop in zip(stages, loops, strict=True))
    report(
        "500 × 375 JPEGs to 256 px, per core, against a bare Pillow loop",
        f"{ratios[1]:.2f} × ({ratios[0]:.2f}-{ratios[-1]:.2f}); {statistics.median(stages):.0f} images/s against "
        f"{statistics.median(loops):.0f} in one process",
    )


def memory(folder: Path) -> None:
    """Peak memory at 60,000 images against that at 10,000."""
    peaks = {}
    for count in (10_000, 60_000):
        project = new_project(folder / str(count))
        archives(project / "data/raw", count, 10_000)
        run(project, "dvc", "add", "--quiet", "data/raw")
        peaks[count] = peak_memory(project, "python", "-m", "pipeline.ingest")
    ratio = peaks[60_000] / peaks[10_000]
    report("peak memory of ingest at 60,000 images against 10,000", f"{ratio:.2f} × ({peaks[60_000]} MiB)")


def loose_files(folder: Path) -> None:
    """60,000 loose files: nothing new, and one new, against a stage that does nothing."""
    project, floor = new_project(folder / "project"), new_floor(folder / "floor")
    for root in (project, floor):
        loose(root / "data/raw", 60_000)
        run(root, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro", "manifest")
    run(floor, "dvc", "repro")
    for name, new in (("nothing new", False), ("one added", True)):
        ratios, seconds, floors = [], [], []
        for number in range(3):
            for root in (project, floor):
                if new:
                    image = root / f"data/raw/class 0/new {number}.png"
                    Image.new("L", (28, 28), 10 * number).save(image)
            seconds.append(timed(project, "dvc", "repro", "manifest"))
            floors.append(timed(floor, "dvc", "repro"))
            ratios.append(seconds[-1] / floors[-1])
        ratios.sort()
        report(
            f"60,000 loose files, {name}: `dvc repro manifest` against DVC's floor",
            f"{ratios[1]:.2f} × ({ratios[0]:.2f}-{ratios[-1]:.2f}); {statistics.median(seconds):.1f} s against "
            f"{statistics.median(floors):.1f} s",
        )


def in_archives(folder: Path, count: int = 60_000) -> None:
    """The same images in archives, and a small archive added."""
    project = new_project(folder / "project")
    archives(project / "data/raw", count, 10_000)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro", "manifest")
    seconds = []
    for number in range(3):
        (project / f"new {number}/class 0").mkdir(parents=True)
        Image.new("L", (28, 28), 10 * number).save(project / f"new {number}/class 0/new.png")
        run(project / f"new {number}", sys.executable, "-m", "zipfile", "-c", f"../data/raw/{number}.zip", "class 0")
        seconds.append(timed(project, "dvc", "repro", "manifest"))
    seconds.sort()
    report(
        f"{count:,} images in {count // 10_000} archives, a small one added: `dvc repro manifest`",
        f"{seconds[1]:.1f} s ({seconds[0]:.1f}-{seconds[-1]:.1f})",
    )


def many(folder: Path) -> None:
    """Ten times as many."""
    in_archives(folder, 600_000)


def idle(folder: Path) -> None:
    """`python -m pipeline.ingest` with nothing to do, beyond what Python and dvc take to look at the same project."""
    project = new_project(folder / "project")
    loose(project / "data/raw", 20)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "python", "-m", "pipeline.ingest")
    for name, dvc in (
        ("opening DVC's repository", "import dvc.repo; dvc.repo.Repo()"),
        ("`import dvc.repo` alone", "import dvc.repo"),
    ):
        beyond = sorted(
            timed(project, "python", "-m", "pipeline.ingest") - timed(project, "python", "-c", dvc) for _ in range(9)
        )
        report(f"`ingest` with nothing to do, beyond {name}", f"{beyond[4]:.2f} s ({beyond[0]:.2f}-{beyond[-1]:.2f})")


BENCHMARKS = {
    "rate": rate,
    "memory": memory,
    "loose": loose_files,
    "archives": in_archives,
    "many": many,
    "idle": idle,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="treering-benchmark-") as scratch:
            BENCHMARKS[name](Path(scratch))
