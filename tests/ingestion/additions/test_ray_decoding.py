"""Decoding on Ray gives the same bytes as locally, survives lost nodes, and has clear errors without a cluster."""

import hashlib
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Project, save_png
from ray import cloudpickle as ray_pickle
from ray.cluster_utils import Cluster
from support.clusters import cluster, cluster_with_token, kill_head, kill_machine
from support.stage_processes import command, running, wait_for

from pipeline.errors import ClusterError
from pipeline.ingestion import standardising
from pipeline.ingestion.additions import ray_decoding
from pipeline.ingestion.additions.ray_decoding import FEWEST, RayFuture, decoders, versions
from pipeline.ingestion.decoding import Job, KnownIds, Place, decode
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture
from pipeline.params import Ingest, read_params
from pipeline.ray_cluster import connected

PARAMS = read_params(ROOT / "params.yaml")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore:::ray.*", "ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def two_machines() -> Iterator[Cluster]:
    """Start a cluster of two nodes."""
    with cluster(1, 1) as found:
        yield found


def add_many(project: Project, count: int, *, into: str = "") -> None:
    """Add `count` different images."""
    for number in range(count):
        path = project.root / "data/raw" / into / f"class {number % 2}" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(np.full((8, 8), [[number % 256, number // 256, *range(6)]]), path)


def ingest(project: Project, *, ok: bool | None = True) -> str:
    """Run ingest, and return its output."""
    return project.run(*command("ingest"), ok=ok).out


def stored(project: Project) -> dict[str, str]:
    """Return the MD5 of the stored bytes of each image."""
    table = pq.read_table(project.root / "data/images/index.parquet", columns=["id", "md5"])
    return dict(zip(table["id"].to_pylist(), table["md5"].to_pylist(), strict=True))


def decoded_here(project: Project) -> dict[str, str]:
    """Return what ingest makes in local processes, and remove it."""
    project.dvc("add", "--quiet", "data/raw")
    project.run(*command("listing"))
    ingest(project)
    made = project.snapshot("data/images", "data/shards")
    shutil.rmtree(project.root / "data/images")
    shutil.rmtree(project.root / "data/shards")
    return made


@pytest.mark.slow
@pytest.mark.nightly
def test_machine_killed_on_the_way(project: Project) -> None:
    """Loose files and archives, usable and broken, are stored and refused as locally, although a node is killed."""
    add_many(project, FEWEST)
    (project.root / "data/raw/class 0/broken.png").write_bytes(b"broken")
    add_many(project, 100, into="packed")
    with zipfile.ZipFile(project.root / "data/raw/packed.zip", "w") as archive:
        for path in sorted((project.root / "data/raw/packed").rglob("*.png")):
            archive.writestr(f"{path.parent.name}/z{path.name}", path.read_bytes() + b"z")
    shutil.rmtree(project.root / "data/raw/packed")
    expected = decoded_here(project)
    with cluster(1, 1) as machines:
        project.set_params(compute={"engine": "ray", "ray": machines.address})
        with running(project, "ingest") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ingest: Ray decodes on 2 cores of 2 machines\n"
            kill_machine(machines)
            out = process.communicate(timeout=200)[0]
    assert f"{FEWEST + 100:,} images" in out
    assert project.snapshot("data/images", "data/shards") == expected


@pytest.mark.slow
@pytest.mark.nightly
def test_sigint_keeps_what_is_decoded(project: Project, two_machines: Cluster) -> None:
    """^C ends it at once; the next run decodes the rest locally, and gives the same bytes."""
    add_many(project, 4 * FEWEST)
    project.dvc("add", "--quiet", "data/raw")
    project.run(*command("listing"))
    ingest(project)
    expected = stored(project)
    shutil.rmtree(project.root / "data/images")
    shutil.rmtree(project.root / "data/shards")
    project.set_params(compute={"engine": "ray", "ray": two_machines.address})
    journal = project.root / "data/.progress/ingest"
    with running(project, "ingest") as process:
        wait_for(process, lambda: sum(path.stat().st_size for path in journal.rglob("*") if path.is_file()) > 10**5)
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=200)[0]
    assert process.returncode == 130, out
    assert "Traceback" not in out
    project.set_params(compute={"engine": "local"})
    assert f"; {4 * FEWEST:,} decoded" not in ingest(project)
    assert stored(project) == expected


@pytest.mark.slow
@pytest.mark.nightly
def test_head_killed_on_the_way(project: Project) -> None:
    """Without the head node, one line says so, where Ray would exit silently later; decoded images are kept."""
    add_many(project, 20 * FEWEST)
    project.dvc("add", "--quiet", "data/raw")
    project.run(*command("listing"))
    with cluster(1) as machines:
        project.set_params(compute={"engine": "ray", "ray": machines.address})
        address = machines.address
        with running(project, "ingest") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ingest: Ray decodes on 1 core of 1 machine\n"
            kill_head(machines)
            out = process.communicate(timeout=100)[0]
    said = f"Ray at {address}: its head no longer answers; start it again; `dvc repro` continues"
    assert out == f"ingest: error: {said}\n"
    assert process.returncode == 1


@pytest.mark.slow
@pytest.mark.nightly
def test_cluster_that_wants_a_token(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing token is a one-line error that says what to set, instead of Ray's repeated messages."""
    add_many(project, FEWEST)
    project.dvc("add", "--quiet", "data/raw")
    project.run(*command("listing"))
    with cluster_with_token("0" * 32) as address:
        project.set_params(compute={"engine": "ray", "ray": address})
        said = f"Ray at {address}: it requires a token; set RAY_AUTH_MODE=token, and put the cluster's token"
        result = project.run(*command("ingest"), ok=False)
        assert result.out.startswith(f"ingest: error: {said}")
        assert len(result.out.splitlines()) == 1
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 32)
        assert f"{FEWEST:,} images" in ingest(project)


@pytest.mark.slow
@pytest.mark.nightly
def test_images_on_the_remote_are_read_there(project: Project, two_machines: Cluster, tmp_path: Path) -> None:
    """Images on the remote are fetched by the nodes, not by this machine."""
    project.dvc("remote", "add", "--default", "--local", "far", str(tmp_path / "far"))
    project.add_digits(0, 4)
    project.dvc("add", "--quiet", "data/raw")
    project.repro("manifest")
    project.commit()
    add_many(project, FEWEST, into="new")
    project.dvc("add", "--quiet", "data/raw")
    project.commit()
    project.dvc("push", "--quiet")
    clone = project.clone(tmp_path / "clone")
    clone.dvc("remote", "add", "--default", "--local", "far", str(tmp_path / "far"))
    clone.set_params(compute={"engine": "ray", "ray": two_machines.address})
    out = clone.repro("ingest")
    assert f"{FEWEST + 4:,} images, {FEWEST:,} new" in out
    fetched = [path for path in (clone.root / ".dvc/cache/files").rglob("*") if path.is_file()]
    assert len(fetched) < FEWEST / 2
    project.repro("ingest")
    assert clone.snapshot("data/images") == project.snapshot("data/images")


def _deadly(raw: bytes, params: Ingest, **_: object) -> Picture | Refusal:
    """Simulate a decoder that crashes in native code."""
    if raw == b"deadly":
        os.abort()
    return standardising.make_uniform(raw, params)


def _end() -> None:
    os.abort()


@pytest.mark.slow
@pytest.mark.nightly
def test_what_a_process_of_rays_says(two_machines: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the image that kills its decoder is refused; other versions, and a node without cores, are errors."""
    monkeypatch.chdir(tmp_path)
    places = [Place(f"{number:03d}.png") for number in range(3)]
    for number, place in enumerate(places):
        (tmp_path / "data/raw").mkdir(parents=True, exist_ok=True)
        save_png(np.full((8, 8), number), tmp_path / "data/raw" / place.path)
    (tmp_path / "data/raw/001.png").write_bytes(b"deadly")
    known = hashlib.md5((tmp_path / "data/raw/002.png").read_bytes()).hexdigest()
    ray_pickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    compute = PARAMS.compute.model_copy(update={"ray": two_machines.address})
    with decoders(Job(KnownIds([known]), PARAMS.ingest, make=_deadly), compute) as pool:
        assert pool.cores == 2
        outcomes = list(decode(places, pool.job, pool.cores, pool=pool))
    assert [outcome.place for outcome in outcomes] == places
    assert outcomes[2] == (places[2], known, None)
    refused = [outcome for outcome in outcomes if isinstance(outcome.result, Refusal)]
    assert refused == [
        (places[1], hashlib.md5(b"deadly").hexdigest(), Refusal("broken", "decoding it kills the decoder"))
    ]
    with connected(compute, stage="ingest") as ray:
        check, other = ray.remote(ray_decoding._check_versions), {**versions(), "Pillow": "0.1"}
        with pytest.raises(ClusterError, match=r"has Pillow .*, and the machine that runs ingest has 0\.1; install"):
            RayFuture(ray, check.remote(other)).result()
        with pytest.raises(BrokenExecutor):
            RayFuture(ray, ray.remote(max_retries=0)(_end).remote()).result()
        busy = compute.model_copy(update={"timeout": 1e-9})
        with pytest.raises(ClusterError, match=r"no core is free within 1e-09 s \(compute.timeout\); see `ray status`"):
            ray_decoding._check_room(ray, busy)


def test_few_images_start_no_ray(project: Project) -> None:
    """For few images Ray is neither started nor imported."""
    project.add_digits(0, 20)
    project.dvc("add", "--quiet", "data/raw")
    project.run(*command("listing"))
    project.set_params(compute={"engine": "ray", "ray": "127.0.0.1:1"})
    script = (
        "import sys; from pipeline.ingest import ingest; from pipeline.params import read_params; "
        "print(ingest(read_params()).summary); assert 'ray' not in sys.modules"
    )
    assert "20 decoded" in project.run("python", "-c", script).out


def test_no_ray() -> None:
    """If Ray is not installed, or no cluster answers, one line says so."""
    for hidden, said in (
        ("sys.modules['ray'] = None", "compute.engine is ray, and Ray is not installed; run `pip install ray`"),
        ("pass", "Ray at 127.0.0.1:1: nothing answers; correct compute.ray, or start Ray there"),
    ):
        script = (
            f"import sys; {hidden}; from pipeline.ray_cluster import connected; from pipeline.params import *; "
            "compute = read_params().compute.model_copy(update={'ray': '127.0.0.1:1'})\n"
            "try: connected(compute, stage='ingest').__enter__()\n"
            "except Exception as error: print(error)"
        )
        out = Project(ROOT).run(sys.executable, "-c", script).out
        assert said in out
        assert len(out.splitlines()) == 1
