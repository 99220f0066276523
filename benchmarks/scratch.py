"""Projects and images for benchmarks, created in a temporary folder."""

import os
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

ROOT = Path(__file__).parent.parent
ENV = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
# Cache bytecode, as on users' machines.
ENV.pop("PYTHONDONTWRITEBYTECODE", None)


def new_project(folder: Path) -> Path:
    """Clone this repository to `folder`, with an empty data/raw."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / "data/raw").mkdir()
    return folder


def new_floor(folder: Path) -> Path:
    """Create a DVC project whose only stage depends on data/raw and does nothing, to measure DVC's own time."""
    folder.mkdir(parents=True)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    stage = "stages:\n  nothing:\n    cmd: mkdir -p out && echo >out/done\n    deps: [data/raw]\n    outs: [out]\n"
    (folder / "dvc.yaml").write_text(stage)
    (folder / "data/raw").mkdir(parents=True)
    return folder


def run(folder: Path, *command: str) -> str:
    """Run `command` in `folder`; returns what it printed."""
    return subprocess.run(command, cwd=folder, env=ENV, check=True, capture_output=True, text=True).stdout


def timed(folder: Path, *command: str) -> float:
    """Return the seconds that `command` takes in `folder`."""
    started = time.perf_counter()
    run(folder, *command)
    return time.perf_counter() - started


def processor_seconds(folder: Path, *command: str) -> float:
    """Return the CPU seconds of `command` in `folder`, which hardly depend on other processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(folder, *command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_memory(folder: Path, *command: str) -> int:
    """Return the peak resident memory of the largest process of `command` in `folder`, in MiB."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    return int(run(folder, sys.executable, "-c", script, *command).split()[-1])


# A function that yields the given number of images, each as a name and the bytes of a file.
Images = Callable[[int], Iterator[tuple[str, bytes]]]


def small_images(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` different grey 28 × 28 PNG files with their names: smooth noise in ten classes."""
    chance = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(chance.integers(0, 256, (7, 7), dtype=np.uint8))
        file = BytesIO()
        coarse.resize((28, 28), Image.Resampling.BICUBIC).save(file, "PNG")
        yield f"class {number % 10}/{number:07d}.png", file.getvalue()


def loose(folder: Path, count: int) -> None:
    """Write `count` small images to `folder`."""
    for name, data in small_images(count):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


def archives(folder: Path, count: int, each: int, images: Images = small_images) -> None:
    """Write `count` of `images` to archives in `folder`, `each` images in an archive."""
    made = images(count)
    for start in range(0, count, each):
        with zipfile.ZipFile(folder / f"{start:07d}.zip", "w") as archive:
            for name, data in islice(made, each):
                archive.writestr(name, data)


def photograph_files(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` different 500 × 375 JPEG files with their names: crops of scikit-learn's two photographs."""
    chance = np.random.default_rng(0)
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    for number in range(count):
        source = sources[number % 2]
        share = chance.uniform(0.7, 0.8)
        width, height = round(share * source.width), round(share * source.height)
        left, top = (int(chance.integers(0, side)) for side in (source.width - width, source.height - height))
        crop, file = source.crop((left, top, left + width, top + height)), BytesIO()
        crop.resize((500, 375), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
        yield f"class {number % 2}/{number:05d}.jpg", file.getvalue()


def photographs(folder: Path, count: int) -> list[Path]:
    """Write `count` photographs to `folder`; returns their paths."""
    paths = []
    for name, data in photograph_files(count):
        paths.append(folder / name)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(data)
    return paths
