"""A machine disappears while it decodes, and another one continues: nothing that was uploaded is decoded again."""

import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Project
from PIL import Image
from support.servers import KINDS, Server, SharedFolder
from support.stage_processes import command, kill, running, wait_for

INGEST = command("ingest")
IMAGES = 600
TOOK = re.compile(r"took (\d+) images? that another run had decoded")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return JPEGs that decode in a few milliseconds: one class in a folder, another one in an archive."""
    folder, draw = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(IMAGES):
        small = Image.fromarray(draw.integers(0, 256, (40, 40, 3), dtype=np.uint8))
        path = folder / ("packed/b" if number % 3 == 0 else "a") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize((640, 640), Image.Resampling.BICUBIC).save(path, quality=60)
    (folder / "packed/b/0.jpg").write_bytes(b"\xff\xd8 no image")
    shutil.make_archive(str(folder / "packed"), "tar", folder / "packed")
    shutil.rmtree(folder / "packed")
    return folder


@pytest.fixture
def ingesting_machine(
    make_project: Callable[[Path], Project], photographs: Path, tmp_path: Path
) -> Callable[[str], Project]:
    """Return a function that makes a machine: a folder with the same images and params, sharing nothing else."""

    def make(name: str) -> Project:
        project = make_project(tmp_path / name)
        shutil.copytree(photographs, project.root / "data/raw", dirs_exist_ok=True)
        project.set_params(
            ingest={"mode": "rgb", "size": 64, "shard_size": 1}, compute={"progress": "remote", "workers": 1}
        )
        project.dvc("add", "--quiet", "data/raw")
        project.run(sys.executable, "-m", "pipeline", "run", "listing")
        return project

    return make


def images(project: Project) -> list[dict[str, Any]]:
    """Return the content of data/images for each image without its place, which is checked by reading it."""
    table = pq.read_table(project.root / "data/images/index.parquet").drop_columns(["shard", "offset"])
    assert project.read("data/images/refused.csv").count("b/0.jpg") == 1
    return sorted(table.to_pylist(), key=lambda row: str(row["id"]))


def there(server: Server, pattern: str = "*.jsonl") -> list[Path]:
    """Return the files on the remote."""
    return sorted(server.folder.rglob(f"progress/ingest/*/{pattern}"))


def has_shards(project: Project, count: int) -> bool:
    """Whether `count` shards are started."""
    return len(list(project.root.glob("data/.progress/ingest/*/*.tar"))) >= count


def took(out: str) -> int:
    """Return how many images were taken over, by the output."""
    found = TOOK.search(out)
    return int(found[1]) if found else 0


@pytest.mark.slow
def test_sigterm_saves_at_once(ingesting_machine: Callable[[str], Project], tmp_path: Path) -> None:
    """After SIGTERM everything decoded is uploaded, including partial shards; another machine decodes the rest."""
    (tmp_path / "server/remote").mkdir(parents=True)
    with SharedFolder(tmp_path / "server") as server:
        first, second, alone = ingesting_machine("first"), ingesting_machine("second"), ingesting_machine("alone")
        for project in (first, second):
            server.configure(project)
        with running(first, "ingest") as process:
            wait_for(process, partial(has_shards, first, 1))
            process.send_signal(signal.SIGTERM)
            out = process.communicate()[0]
            assert process.returncode == 130, out
        assert "ingest: interrupted; nothing is lost" in out
        decoded = sum(line.count(b"\n") for line in (path.read_bytes() for path in there(server)))
        assert 0 < decoded < IMAGES
        out = second.run(*INGEST).out
        assert took(out) == decoded
        assert not there(server, "*")
        alone.set_params(compute={"progress": "off"})
        alone.run(*INGEST)
        assert images(second) == images(alone)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_kills_while_decoding(ingesting_machine: Callable[[str], Project], tmp_path: Path, kind: type[Server]) -> None:
    """Killed at any moment, and continued by another machine each time, ingest gives the same images."""
    (tmp_path / "server/remote").mkdir(parents=True)
    chance = random.Random(0)
    alone = ingesting_machine("alone")
    alone.set_params(compute={"progress": "off"})
    alone.run(*INGEST)
    with kind(tmp_path / "server") as server:
        for number in range(2):
            project = ingesting_machine(str(number))
            server.configure(project)
            with running(project, "ingest") as process:
                wait_for(process, partial(has_shards, project, 2 + number))
                time.sleep(chance.uniform(0, 0.2))
                kill(process)
        last = ingesting_machine("last")
        server.configure(last)
        assert took(last.run(*INGEST).out) > 0
        assert images(last) == images(alone)
