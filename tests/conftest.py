"""Fixtures: projects in temporary folders, with real Git, real DVC and tiny real images."""

import compileall
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dvc.repo  # Import it now: its logger keeps the stderr of its first import, which must not be that of a test.
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from pipeline import cli
from pipeline.versioning import remote, repository

ROOT = Path(__file__).parent.parent
# Hypothesis keeps no database, so that runs are independent and nothing is written into the checkout.
settings.register_profile("here", database=None, deadline=None)
settings.load_profile("here")
# As small as possible: the tests check what runs and what it starts from, not accuracy.
TINY: dict[str, dict[str, Any]] = {
    "ingest": {"size": 8, "mode": "grey", "max_removed": 1.0},
    "train": {"size": 8, "epochs": 2, "warm_epochs": 1, "passes": 4.0, "min_steps": 3, "batch_size": 16},
    "evaluate": {"gate": {"drop": None, "class_drop": None, "flips": None, "confidence": 0.95}},
    "compute": {"accelerator": "cpu", "workers": 1},
}
# DVC writes its config in ASCII only (docs/team.md), and the tests may run in a folder with any name.
DVC_IN_UTF_8 = """
import configobj, sys
class InUtf8(configobj.ConfigObj):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, default_encoding="utf-8", **options)
configobj.ConfigObj = InUtf8
from dvc.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    """The output on stdout and stderr."""


class Project:
    """A user's project: a checkout of this repository with its own data."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, ok: bool | None = True, **env: str) -> Ran:
        """Run `command` in the project; assert that its success equals `ok`, unless `ok` is None."""
        run = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, **env},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=400,
        )
        assert ok is None or (run.returncode == 0) == ok, f"{command} exited with {run.returncode}:\n{run.stdout}"
        return Ran(run.returncode, run.stdout)

    def pipeline(self, *arguments: str, ok: bool = True) -> Ran:
        """Run `pipeline` in this process, which has imported everything; assert that its success equals `ok`."""
        repository._repository.cache_clear()  # Forget the repository that the last command opened.
        remote.silence.cache_clear()
        out = io.StringIO()
        with chdir(self.root), redirect_stdout(out), redirect_stderr(out):
            code = cli.main(arguments)
        assert (code == 0) == ok, f"{arguments} returned {code}:\n{out.getvalue()}"
        return Ran(code, out.getvalue())

    def add_raw(self) -> None:
        """Run the equivalent of `dvc add data/raw` in this process."""
        with chdir(self.root), dvc.repo.Repo() as repo:
            repo.add("data/raw")

    def dvc(self, *arguments: str, ok: bool | None = True) -> Ran:
        """Run `dvc`."""
        writes_config = arguments[:1] in (("config",), ("remote",))
        command = ("dvc",) if str(self.root).isascii() or not writes_config else (sys.executable, "-c", DVC_IN_UTF_8)
        return self.run(*command, *arguments, ok=ok)

    def status(self) -> str:
        """Return the output of `dvc status` for data/raw and all stages but `listing`, which always runs."""
        return self.dvc("status", "data/raw.dvc", "ingest", "manifest", "train", "evaluate").out

    def git(self, *arguments: str) -> str:
        """Run `git`, and return its output."""
        return self.run("git", *arguments).out

    def repro(self, *arguments: str, ok: bool | None = True) -> str:
        """Run `dvc repro`, and return its output."""
        return self.dvc("repro", *arguments, ok=ok).out

    def commit(self, message: str = "data") -> None:
        """Commit all changes."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def set_params(self, **sections: dict[str, Any]) -> None:
        """Change keys of the given sections of params.yaml."""
        yaml, path = YAML(), self.root / "params.yaml"
        params = yaml.load(path)
        for section, values in sections.items():
            params[section].update(values)
        yaml.dump(params, path)

    def lock(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return the hashes in dvc.lock: by stage, then "deps" or "outs", then path."""
        stages = YAML(typ="safe").load(self.root / "dvc.lock")["stages"]
        return {
            name: {kind: {entry["path"]: entry["md5"] for entry in stage.get(kind, [])} for kind in ("deps", "outs")}
            for name, stage in stages.items()
        }

    def decided(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return the hashes in dvc.lock without `listing`, which records data/raw even if a later stage fails."""
        return {name: stage for name, stage in self.lock().items() if name != "listing"}

    def read(self, path: str) -> str:
        """Return the text of the file `path`."""
        return (self.root / path).read_text(encoding="utf-8")

    def add_digits(self, start: int, stop: int, *, into: str = ".") -> list[Path]:
        """Copy scikit-learn's digits from `start` to `stop` into data/raw, a folder for each class."""
        data = load_digits()
        paths = []
        for number in range(start, stop):
            path = self.root / "data/raw" / into / f"digit {data.target[number]}" / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_png(data.images[number] * 15, path)
            paths.append(path)
        return paths

    def ids(self, split: str) -> list[str]:
        """Return the image ids in the manifest of `split`."""
        return [line.split(",")[0] for line in self.read(f"data/manifest/{split}.csv").splitlines()[1:]]

    def clone(self, to: Path) -> "Project":
        """Clone the project to the folder `to`."""
        subprocess.run(["git", "clone", "--quiet", str(self.root), str(to)], check=True)
        return Project(to)

    def snapshot(self, *folders: str) -> dict[str, str]:
        """Return the MD5 of every file in `folders`, by path."""
        files = (path for folder in folders for path in [self.root / folder, *(self.root / folder).rglob("*")])
        return {
            str(path.relative_to(self.root)): hashlib.md5(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file()
        }


def save_png(pixels: np.ndarray[Any, Any], path: Path) -> None:
    """Write `pixels`, integers from 0 to 255, as a PNG file."""
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def stages_run(out: str) -> list[str]:
    """Return the stages that ran, by the output `out` of `dvc repro`, without `listing`, which always runs."""
    stages = [line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage ")]
    return [stage for stage in stages if stage != "listing"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Run the tests that share an expensive fixture of their module in one worker process."""
    for item in items:
        fixtures = [definitions[-1] for definitions in item._fixtureinfo.name2fixturedefs.values()]
        if item.get_closest_marker("xdist_group") is None and any(one.scope == "module" for one in fixtures):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def _signals() -> None:
    """Restore default handling of SIGINT and SIGHUP, also in child processes, if the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Configure Git and DVC as on a new machine, with a name and an email address for commits."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        '[user]\n name = A\n email = a@example.org\n[init]\n defaultBranch = main\n[protocol "file"]\n allow = always\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.delenv("PYTHONWARNINGS", raising=False)
        yield


@pytest.fixture(autouse=True)
def _determinism() -> Iterator[None]:
    """Undo the changes that a stage in this process made to torch's global settings."""
    yield
    if torch := sys.modules.get("torch"):  # Importing torch takes a second, and many tests do not need it.
        torch.set_deterministic_debug_mode("default")


def copy_checkout(root: Path) -> None:
    """Copy this repository in its current state, without its history, into the folder `root`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Project]:
    """Return a function that makes a project in a folder: this repository's current state, committed, tiny params."""
    made = Project(tmp_path_factory.mktemp("made") / "project")
    copy_checkout(made.root)
    compileall.compile_dir(made.root / "pipeline", quiet=1)  # Each process of a project would compile it again.
    made.git("init", "--quiet")
    made.set_params(**TINY)
    made.commit("a new project")
    made.git("repack", "--quiet", "-a", "-d")  # A single pack file is faster to copy.
    (made.root / "data/raw").mkdir()

    def make(root: Path) -> Project:
        shutil.copytree(made.root, root, symlinks=True, dirs_exist_ok=True)
        return Project(root)

    return make


@pytest.fixture
def project(make_project: Callable[[Path], Project], tmp_path: Path) -> Project:
    """A project without data."""
    return make_project(tmp_path / "project")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """Return a function that makes a machine that can train, by name."""
    import torch
    from support.training_machine import make_machine

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    return lambda name, **train: make_machine(tmp_path / name, **train)
