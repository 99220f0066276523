"""`pipeline replay` trains recorded generations again, with real Git, real DVC and tiny models."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Project, Ran
from ruamel.yaml import YAML

from pipeline import cli
from pipeline.commands.history.replay import newest, package_in, recorded_command, replay, replay_all
from pipeline.errors import MissingDataError, RecordError
from pipeline.lineage.history import trainings

AUGMENTATIONS = "pipeline/training/augmentation"
AUGMENTATION = f"{AUGMENTATIONS}/augment.py"
REPLAY = ("python", "-m", "pipeline", "replay")
MODEL, ENVIRONMENT = "data/model", "data/environment.json"


def train(project: Project, generation: int) -> None:
    """Add images, train, and commit the generation."""
    project.add_digits(generation * 40, generation * 40 + 80)
    if not (project.root / "data/raw.dvc").exists():
        project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit(f"generation {generation}")


@pytest.fixture(scope="module")
def chain(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two generations and a commit without training, pushed to a remote. Tests only read it."""
    folder = tmp_path_factory.mktemp("chain")
    project = make_project(folder / "Prüfung 'q'")
    project.dvc("remote", "add", "--default", "storage", str(folder / "remote"))
    for generation in (1, 2):
        train(project, generation)
    project.commit("nothing trained")
    project.dvc("push", "--quiet", "--all-commits")
    return project


@pytest.fixture
def copied(chain: Project, tmp_path: Path) -> Project:
    """Return a copy of `chain` that tests may change, with its own cache and the same remote."""
    shutil.copytree(chain.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return an empty folder for temporary folders."""
    (tmp_path / "temporär 'q'").mkdir()
    return tmp_path / "temporär 'q'"


def run(project: Project, *arguments: str, temporary: Path, ok: bool = True, **env: str) -> Ran:
    """Run `pipeline replay`, and assert that it leaves nothing behind, however it ends."""
    state = (project.git("status", "--porcelain"), project.git("for-each-ref"), tree(project))
    ran = project.run(*REPLAY, *arguments, ok=ok, TMPDIR=str(temporary), **env)
    assert state == (project.git("status", "--porcelain"), project.git("for-each-ref"), tree(project))
    assert not list(temporary.glob("treering*"))
    return ran


def tree(project: Project) -> list[str]:
    """Return the files that replaying could change, with their times of modification."""
    files = [path for folder in ("data", ".git") for path in (project.root / folder).rglob("*") if path.is_file()]
    return sorted(f"{path} {path.stat().st_mtime_ns}" for path in files if path.name != "index")


@pytest.mark.slow
def test_every_generation_is_reproduced(chain: Project, temporary: Path) -> None:
    """All generations are replayed, oldest first, with a line each, a summary, and the recorded number of threads."""
    threads = json.loads(chain.read(ENVIRONMENT))["threads"]
    ran = run(chain, "--all", temporary=temporary, OMP_NUM_THREADS=str(threads + 1), PYTHONSAFEPATH="")
    said = [line for line in ran.out.splitlines() if "reproduced" in line]
    commits = chain.git("log", "--format=%h", "--abbrev=7", "--reverse", "--", "data/report/lineage.json").split()
    expected = [f"generation {number} ({commit}) reproduced, bit for bit" for number, commit in enumerate(commits, 1)]
    assert said == [*expected, "2 of 2 generations reproduced, bit for bit"]
    assert f"train: warm start from {chain.lock()['train']['deps']['data/base'][:8]}" in ran.out


@pytest.mark.slow
def test_a_clone_fetches_what_it_needs(chain: Project, temporary: Path, tmp_path: Path) -> None:
    """In a clone without data REV may be a commit without training; --json prints JSON, and the rest goes to stderr."""
    clone = chain.clone(tmp_path / "clone")
    command = [*REPLAY, "HEAD", "--json"]
    ran = subprocess.run(
        command,
        cwd=clone.root,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        check=True,
    )
    (told,) = json.loads(ran.stdout)
    assert (told["reproduced"], told["training"]["recorded"]["generation"]) == (True, 2)
    assert told["training"]["commit"] == chain.git("rev-parse", "HEAD~1").strip()
    assert "train: warm start" in ran.stderr
    assert not (clone.root / MODEL).exists()
    assert clone.git("status", "--porcelain") == ""
    assert not list(temporary.glob("treering*"))


@pytest.mark.slow
@pytest.mark.nightly
def test_as_many_processes_as_then(project: Project, temporary: Path) -> None:
    """A training by two machines is replayed by two processes on this one."""
    project.set_params(compute={"devices": 2})
    train(project, 1)
    project.set_params(compute={"devices": 1, "nodes": 2, "launcher": "torchrun", "address": "192.0.2.1:1"})
    project.commit("two machines")
    project.git("reset", "--quiet", "--soft", "HEAD~2")
    project.commit("trained by two machines")
    ran = run(project, temporary=temporary)
    assert ": 2 processes trained it together, compute says 2 × 1: starting 2 here" in ran.out
    assert "reproduced, bit for bit" in ran.out


def tamper(project: Project, *, environment: bool) -> None:
    """Make the newest commit record a model with a changed weight, and another environment if `environment`."""
    path = project.root / MODEL / "checkpoint.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    name = next(iter(checkpoint["state_dict"]))
    checkpoint["state_dict"][name].view(-1)[0] += 2
    path.unlink()
    torch.save(checkpoint, path)
    if environment:
        facts = {**json.loads(project.read(ENVIRONMENT)), "torch": "0.4.1"}
        (project.root / ENVIRONMENT).unlink()
        (project.root / ENVIRONMENT).write_text(json.dumps(facts))
    project.dvc("commit", "--quiet", "--force", "train")
    recorded = json.loads(project.read("data/report/lineage.json"))
    recorded["model"] = project.lock()["train"]["outs"][MODEL]
    (project.root / "data/report/lineage.json").write_text(json.dumps(recorded))
    project.commit("another model")


@pytest.mark.slow
@pytest.mark.parametrize("environment", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_another_model_is_told_of(copied: Project, temporary: Path, environment: bool) -> None:  # noqa: FBT001
    """Differences are reported with their size, and whether the environment may be the cause."""
    tamper(copied, environment=environment)
    said = run(copied, temporary=temporary, ok=False).out.splitlines()[-1]
    assert re.match(r"generation 2 \([0-9a-f]{7}\) differs: weights \(1 of \d+ tensors, by up to 2\); ", said)
    assert "moments" not in said
    if environment:
        assert said.endswith(f"another environment: torch 0.4.1 then, {torch.__version__} now")
    else:
        assert said.endswith("the same environment: this should not happen")


@pytest.mark.slow
def test_an_edit_without_a_run_is_named(copied: Project, temporary: Path) -> None:
    """A commit whose code, params or command differ from those of the training is not replayed."""
    (copied.root / AUGMENTATION).write_text(copied.read(AUGMENTATION) + "\n# edited\n")
    copied.set_params(train={"lr": 0.1}, compute={"workers": 2})
    copied.git("reset", "--quiet", "--soft", "HEAD~2")
    copied.commit("generation 2, edited")
    (said,) = run(copied, temporary=temporary, ok=False).out.splitlines()
    assert f"the training in dvc.lock: params.yaml (train.lr), {AUGMENTATIONS}" in said
    ran = run(copied, "HEAD", "--json", temporary=temporary, ok=False)
    assert ran.out.splitlines() == [said]


@pytest.mark.slow
def test_a_record_of_another_model_is_an_error(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error if dvc.lock and the report name different models, or if there is no dvc.lock."""
    monkeypatch.chdir(copied.root)
    path = copied.root / "data/report/lineage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": "0" * 32 + ".dir"}))
    copied.commit("another model")
    with pytest.raises(RecordError, match=r"dvc\.lock records the model .* data/report the model 0000"):
        replay(newest("HEAD"))
    for content in ("", "stages: {}", "<<<<<<< HEAD"):
        (copied.root / "dvc.lock").write_text(content)
        path.write_text(json.dumps({**json.loads(path.read_text()), "model": f"{content[:1]}x.dir"}))
        copied.commit("no record")
        with pytest.raises(RecordError, match=r"dvc\.lock of generation 2 \([0-9a-f]{7}\): "):
            replay(newest("HEAD"))


@pytest.mark.nightly
@pytest.mark.slow
def test_what_cannot_be_fetched_stops_no_other(chain: Project, temporary: Path, tmp_path: Path) -> None:
    """Without cache and remote, each generation gets a line with what is missing and what to run."""
    clone = chain.clone(tmp_path / "clone")
    (tmp_path / "nothing").mkdir()
    clone.dvc("remote", "modify", "storage", "url", str(tmp_path / "nothing"))
    first, second, summary = run(clone, "--all", temporary=temporary, ok=False).out.splitlines()
    for number, said in enumerate((first, second), 1):
        assert re.match(rf"generation {number} \([0-9a-f]{{7}}\) not replayed: data/\S+ of generation {number} ", said)
        assert "dvc fetch --all-commits" in said
    assert summary == "0 of 2 generations reproduced, bit for bit"
    (said,) = run(clone, temporary=temporary, ok=False).out.splitlines()
    assert said.startswith("pipeline: error: data/")


@pytest.mark.slow
def test_a_damaged_base_is_never_trained_from(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed weight in the cached checkpoint is detected by its hash; without a remote replaying fails."""
    base = copied.lock()["train"]["deps"]["data/base"]
    cache = copied.root / ".dvc/cache/files/md5"
    listed = {one["relpath"]: one["md5"] for one in json.loads((cache / base[:2] / base[2:]).read_bytes())}
    cached = cache / listed["checkpoint.ckpt"][:2] / listed["checkpoint.ckpt"][2:]
    content = bytearray(cached.read_bytes())
    content[len(content) // 2] ^= 1
    cached.chmod(0o644)
    cached.write_bytes(content)
    shutil.rmtree(copied.root / "data/base")
    copied.dvc("remote", "remove", "storage")
    monkeypatch.chdir(copied.root)
    with pytest.raises(MissingDataError, match="data/base of generation 2"):
        replay(newest("HEAD"))


@pytest.mark.slow
def test_revisions(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that several commits record belongs to the first one; a revision without a model is an error."""
    monkeypatch.chdir(copied.root)
    second, first = (training.commit for training in trainings())
    copied.git("revert", "--no-edit", second)
    assert newest("HEAD").commit == first
    copied.git("revert", "--no-edit", "HEAD")
    assert newest("HEAD").commit == second
    assert newest(first).commit == first
    with pytest.raises(RecordError, match="records no training"):
        newest(f"{first}^")
    for nonsense in ("nowhere", "--all", ""):
        with pytest.raises(RecordError):
            newest(nonsense)


@pytest.mark.slow
def test_shallow_and_partial_clones(
    chain: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a clone without the whole history, the message says how to fetch the rest."""
    origin = tmp_path / "origin.git"
    chain.run("git", "clone", "--quiet", "--bare", str(chain.root), str(origin))
    chain.run("git", "-C", str(origin), "config", "uploadpack.allowFilter", "true")
    chain.run("git", "clone", "--quiet", "--depth=1", origin.as_uri(), str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    assert cli.main(["replay", "HEAD~1"]) == 1
    assert "git fetch --unshallow" in capsys.readouterr().err
    chain.run("git", "clone", "--quiet", "--filter=blob:none", origin.as_uri(), str(tmp_path / "partial"))
    origin.rename(tmp_path / "gone.git")
    monkeypatch.chdir(tmp_path / "partial")
    assert cli.main(["replay", "HEAD~2"]) == 1
    assert "git fetch --refetch --no-filter" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped(chain: Project, temporary: Path, number: signal.Signals) -> None:
    """A signal ends it without leaving a folder, a process or a worktree."""
    before = tree(chain)
    started = subprocess.Popen(
        REPLAY, cwd=chain.root, env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.PIPE, text=True
    )
    while not (training := [pid for pid in processes_in(temporary) if "run\0train" in command_of(pid)]):
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(number)
    out, _ = started.communicate(timeout=200)
    assert (started.returncode, out) == (130, "")
    assert training
    assert not processes_in(temporary)
    assert not list(temporary.glob("treering*"))
    assert tree(chain) == before


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is below `folder`."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if Path(os.readlink(cwd)).is_relative_to(folder.resolve()):  # noqa: PTH115 (it may be gone)
                found.append(int(cwd.parent.name))
        except OSError:
            continue
    return found


def command_of(pid: int) -> str:
    """Return the command of the process `pid`; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.nightly
@pytest.mark.slow
def test_a_chain_of_five(
    make_project: Callable[[Path], Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five generations with params and code that changed in between are replayed bit for bit."""
    project = make_project(tmp_path / "project")
    for generation in range(1, 6):
        project.set_params(train={"lr": generation / 1000})
        if generation == 3:
            (project.root / AUGMENTATION).write_text(project.read(AUGMENTATION) + "\n# newer\n")
        train(project, generation)
    lines = project.run(*REPLAY, "--all").out.splitlines()
    assert lines[-1] == "5 of 5 generations reproduced, bit for bit"
    monkeypatch.chdir(project.root)
    assert len(trainings()) == 5


@pytest.mark.nightly
@pytest.mark.slow
def test_before_environments_were_recorded(copied: Project, temporary: Path) -> None:
    """A generation of an older release without data/environment.json is replayed with its own code."""
    yaml = YAML()
    for name in ("dvc.yaml", "dvc.lock"):
        content = yaml.load(copied.root / name)
        outs = content["stages"]["train"]["outs"]
        content["stages"]["train"]["outs"] = [out for out in outs if ENVIRONMENT not in str(out)]
        yaml.dump(content, copied.root / name)
    path = copied.root / "pipeline/train.py"
    path.write_text(path.read_text().replace("write_environment(params)\n", "pass\n"))
    copied.repro("--force", "train")
    copied.git("reset", "--quiet", "--soft", "HEAD~2")
    copied.commit("generation 2, of an older pipeline")
    assert "bit for bit" in run(copied, temporary=temporary).out
    tamper(copied, environment=False)
    said = run(copied, temporary=temporary, ok=False).out
    assert "its environment is unknown: it was recorded before there was such a file" in said


@pytest.mark.slow
def test_all_goes_on(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older generation whose record is lost does not hide the others."""
    monkeypatch.chdir(copied.root)
    shutil.rmtree(copied.root / ".dvc/cache")
    copied.dvc("remote", "remove", "storage")
    outcomes = list(replay_all("HEAD"))
    assert [outcome.reproduced for outcome in outcomes] == [False, False]
    assert all("no remote is set" in outcome.trouble for outcome in outcomes)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m pipeline.train", [sys.executable, "-m", "pipeline.train"]),
        ("python -m pipeline run train", [sys.executable, "-m", "pipeline", "run", "train"]),
        ("./train.sh --fast 'a b'", ["./train.sh", "--fast", "a b"]),
        ("cd . && python -m pipeline.train", ["/bin/sh", "-c", "cd . && python -m pipeline.train"]),
    ],
)
def test_command_is_the_recorded_one(tmp_path: Path, command: str, expected: list[str]) -> None:
    """Training runs the command in the commit's own dvc.yaml, which differs between releases."""
    YAML().dump({"stages": {"train": {"cmd": command}}}, tmp_path / "dvc.yaml")
    assert recorded_command(tmp_path / "dvc.yaml") == expected


@pytest.mark.parametrize("name", ["plain", "prüf ung", "猫"])
def test_package_is_found_in_any_folder(tmp_path: Path, name: str) -> None:
    """The package in a folder of any name is found, or none is, whatever Python prints."""
    folder, env = tmp_path / name, {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONSAFEPATH": ""}
    (folder / "pipeline").mkdir(parents=True)
    assert package_in(folder, {**env, "PYTHONPATH": str(tmp_path)}) != folder / "pipeline/__init__.py"
    (folder / "pipeline/__init__.py").touch()
    assert package_in(folder, env) == folder / "pipeline/__init__.py"
