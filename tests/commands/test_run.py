"""How stages end: with a sentence, or a one-line error, and an exit status for each kind of end."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.cli import main
from pipeline.commands import results
from pipeline.commands.durations import DURATIONS, Duration
from pipeline.errors import ImagesError, one_line
from pipeline.params import Params, read_params
from pipeline.result import Result

Capture = pytest.CaptureFixture[str]
INTERRUPTED = "train: interrupted; nothing is lost, `dvc repro` continues\n"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder with params.yaml the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", paths.PARAMS)


def fails_with(error: BaseException) -> Callable[[Params], NoReturn]:
    """Return a stage that fails with `error` half-way."""

    def fail(_: Params) -> NoReturn:
        print("half-way")
        raise error

    return fail


def run_train(stage: Callable[[Params], Result | None]) -> int:
    """Return the exit status of `pipeline run train` with `stage` in place of the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pipeline.train", SimpleNamespace(train=stage))
        return main(["run", "train"])


def ends(run: Callable[[Params], Result], capsys: Capture) -> tuple[object, str, str]:
    """Return the exit status, and the output on both streams."""
    return (run_train(run), *capsys.readouterr())


def set_params(section: str, **values: object) -> None:
    """Change a section of params.yaml."""
    yaml = YAML()
    content = yaml.load(paths.PARAMS)
    content[section].update(values)
    yaml.dump(content, paths.PARAMS)


def start(stage: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Start a stage as DVC does."""
    command = [sys.executable, "-m", "pipeline", "run", stage, *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_own_code_is_listed_before_anything_runs(capsys: Capture) -> None:
    """A stage does not run while dvc.yaml lacks files of the project's own code; after the correction it does."""
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    Path("mine.py").write_text("def build(): ...\n")
    set_params("train", model="mine:build")
    said = "train: error: dvc.yaml: now lists mine.py, which train.model uses; run `dvc repro` again\n"
    assert ends(lambda _: Result("3 images", 3), capsys) == (1, "", said)
    assert ends(lambda _: Result("3 images", 3), capsys) == (0, "train: 3 images\n", "")


def test_success_is_a_sentence(capsys: Capture) -> None:
    """A successful stage gets the params, prints a sentence, records its duration, and returns."""
    given = []

    def run(params: Params) -> Result:
        given.append(params)
        return Result("3 images", 3)

    run_train(run)
    assert capsys.readouterr() == ("train: 3 images\n", "")
    assert given == [read_params()]
    (noted,) = map(Duration.model_validate_json, DURATIONS.read_text().strip().split("\n"))
    assert (noted.stage, noted.amount) == ("train", 3)
    assert results.newest("train") == Result("3 images", 3)
    assert noted.start > 0


def test_enlarged_images_are_said_first(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Enlarged images are reported before training, by one of the training processes, and not by their launcher."""
    larger = "train: warning: images of 16 pixels (ingest.size) are enlarged to 28 (train.size): ingest.size 28 keeps "
    set_params("ingest", size=16)
    code, out, err = ends(lambda _: Result("3 images", 3), capsys)
    assert (code, err) == (0, "")
    assert out.startswith(larger)
    assert out.endswith("\ntrain: 3 images\n")
    for env, launcher, is_said in (
        ({"RANK": "1"}, "none", False),
        ({}, "torchrun", False),
        ({"RANK": "1"}, "torchrun", False),
        ({"RANK": "0"}, "torchrun", True),
    ):
        set_params("compute", launcher=launcher)
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            assert (larger in ends(lambda _: Result("3 images", 3), capsys)[1]) == is_said


def test_enlarged_by_timms_crop(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """For `crop_pct: model` the value comes from timm, which `train` will import anyway."""
    asked = []

    def crop_pct_of(*given: object) -> float:
        asked.append(given)
        return 0.5

    monkeypatch.setattr("pipeline.models.network.crop_pct_of", crop_pct_of)
    set_params("ingest", size=55)
    set_params("train", crop_pct="model", model="timm/test_vit3")
    assert "are enlarged to 56 (train.size / train.crop_pct)" in ends(lambda _: Result("3 images", 3), capsys)[1]
    assert asked == [("timm/test_vit3", "model")]
    set_params("ingest", size=56)
    assert ends(lambda _: Result("3 images", 3), capsys)[1] == "train: 3 images\n"


def test_another_process_says_it(capsys: Capture) -> None:
    """Of several training processes, those that print nothing record nothing."""
    run_train(lambda _: None)
    assert capsys.readouterr() == ("", "")
    assert not DURATIONS.exists()


def test_failure_is_not_noted(capsys: Capture) -> None:
    """The duration of a failed stage is not recorded."""
    ends(fails_with(ValueError("no")), capsys)
    assert not DURATIONS.exists()


def test_error_that_can_be_mended(capsys: Capture) -> None:
    """An expected error is one line that names the stage."""
    error = ImagesError("data/raw", "no images", "add some")
    assert ends(fails_with(error), capsys) == (1, "half-way\n", "train: error: data/raw: no images; add some\n")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("many\nlines"),
        KeyError("cat"),
        RuntimeError(),
        MemoryError(),
        RecursionError("too deep"),
        OSError(5, "Input/output error"),
        AssertionError("never"),
        StopIteration(),
        ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_unexpected_errors(capsys: Capture, error: Exception) -> None:
    """An unexpected error is one line with the stage, the error's type, and the command that shows the traceback."""
    code, out, err = ends(fails_with(error), capsys)
    assert (code, out) == (1, "half-way\n")
    kind = f"{type(error).__name__} (`pipeline run train -v` shows where)"
    assert err == f"train: error: {kind}: {one_line(error)}\n"
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), SystemExit(0), SystemExit("bye")])
def test_interruption(capsys: Capture, error: BaseException) -> None:
    """An interruption, also as Lightning's exception, is one line with its own exit status."""
    assert ends(fails_with(error), capsys) == (130, "half-way\n", INTERRUPTED)


def test_error_in_params(capsys: Capture) -> None:
    """Params are read, and their errors reported, before the stage starts."""
    paths.PARAMS.write_text("no: params\n")
    code, out, err = ends(fails_with(AssertionError()), capsys)
    assert (code, out) == (1, "")
    assert err.startswith("train: error: params.yaml: ")
    assert len(err.splitlines()) == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DVC repository that records data/model as the output of `train`."""
    root = tmp_path_factory.mktemp("stage")
    (root / "data/model").mkdir(parents=True)
    for name in "ab":
        (root / "data/model" / name).write_text(name)
    YAML().dump({"stages": {"train": {"cmd": "true", "outs": ["data/model"]}}}, root / "dvc.yaml")
    for command in ("dvc init --quiet --no-scm", "dvc commit --quiet --force"):
        subprocess.run(command.split(), cwd=root, check=True)
    return root


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ValueError("no")])
def test_removed_outputs_come_back(trained: Path, tmp_path: Path, capsys: Capture, error: BaseException) -> None:
    """DVC removes a stage's outputs before it runs; if the stage fails, they are restored."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in paths.MODEL.iterdir()}
    assert len(before) == 2
    shutil.rmtree(paths.MODEL)
    code, _, err = ends(fails_with(error), capsys)
    assert code == (1 if isinstance(error, ValueError) else 130)
    assert len(err.splitlines()) == 1
    assert {path: path.read_bytes() for path in paths.MODEL.iterdir()} == before


def test_success_brings_nothing_back(trained: Path, tmp_path: Path) -> None:
    """After a successful stage nothing is restored."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(paths.MODEL)
    run_train(lambda _: Result("done", 0))
    assert not paths.MODEL.exists()


@pytest.mark.parametrize("stage", ["listing", "ingest", "manifest"])
def test_started_as_dvc_does(stage: str) -> None:
    """As a separate program a failing stage prints one line on stderr, and exits with 1."""
    paths.PARAMS.unlink()
    paths.PIPELINE.touch()
    ran = start(stage)
    expected = f"{stage}: error: params.yaml: no such file; run `git checkout params.yaml`\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", expected)


def test_verbose_shows_where() -> None:
    """The command that an unexpected error names shows the traceback, and then the same line."""
    paths.PARAMS.unlink()
    paths.PARAMS.mkdir()
    brief, verbose = start("ingest"), start("ingest", "-v")
    assert brief.stderr.startswith("ingest: error: IsADirectoryError (`pipeline run ingest -v` shows where): ")
    assert len(brief.stderr.splitlines()) == 1
    assert "Traceback (most recent call last)" in verbose.stderr
    assert verbose.stderr.endswith(brief.stderr)
    assert (brief.returncode, verbose.returncode) == (1, 1)
    assert (brief.stdout, verbose.stdout) == ("", "")


def test_help_and_unknown_options() -> None:
    """Help names the stages; an unknown option is an error with the usual exit status."""
    helped, unknown = start("ingest", "--help"), start("ingest", "--fast")
    assert helped.returncode == 0
    assert "{listing,ingest,manifest,train,evaluate}" in helped.stdout
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "unrecognized arguments: --fast" in unknown.stderr
