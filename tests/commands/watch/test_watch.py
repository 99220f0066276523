"""`pipeline watch` trains on new images, commits and pushes, and survives errors on the way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Project
from support.terminal import Terminal

from pipeline import cli, paths
from pipeline.commands.interrupts import ASKING, noting
from pipeline.commands.subprocesses import EndedProcess, Subprocesses
from pipeline.commands.watch.repro import accuracy

OWN = {
    *("data/raw.dvc", "data/shards.dvc", "dvc.lock"),
    *(f"data/report/{name}.json" for name in ("metrics", "lineage", "details")),
}
LINE = re.compile(
    r"\d\d:\d\d (\d+) new images?; accuracy \d+\.\d % → \d+\.\d %; (\d+ min )?\d+ s; committed (\w+); pushed"
)


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with a model, a shared folder as DVC remote, and a bare repository as Git remote."""
    folder = tmp_path_factory.mktemp("watch")
    project = make_project(folder / "project")
    project.add_digits(0, 60)
    project.dvc("add", "data/raw")
    project.repro()
    project.run("git", "init", "--quiet", "--bare", str(folder / "bare.git"))
    project.git("remote", "add", "origin", str(folder / "bare.git"))
    project.dvc("remote", "add", "--default", "shared", str(folder / "remote"))
    project.commit("The first generation")
    project.dvc("push")
    project.git("push", "--quiet", "--set-upstream", "origin", "main")
    return project


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Return a terminal to watch in."""
    with Terminal() as terminal:
        yield terminal


def start(terminal: Terminal, project: Project, *options: str) -> "subprocess.Popen[bytes]":
    """Start the watcher."""
    return terminal.start(sys.executable, "-m", "pipeline", "watch", *options, folder=project.root)


def end(terminal: Terminal, process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """End the watcher by a signal, as ^C or `kill` do; its last line says so."""
    os.killpg(process.pid, number)
    assert process.wait(60) == 128 + number
    terminal.wait_for(f"ended by {number.name}; nothing is lost")


def newest(project: Project, revision: str = "HEAD") -> str:
    """Return the subject of a commit."""
    return project.git("log", "-1", "--format=%s", revision).strip()


def processes(folder: Path) -> list[str]:
    """Return the processes that work in `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.readlink() == folder:
                found.append(path.parent.name)
    return found


def logs(project: Project) -> list[str]:
    """Return the logs of the commands, one for each arrival of images."""
    return [path.read_text() for path in sorted((project.root / "data/.progress/watch").glob("*.log"))]


@pytest.mark.slow
def test_images_come(trained: Project, terminal: Terminal, tmp_path: Path) -> None:
    """A slowly copied archive causes one run and one commit of the pipeline's files, pushed with all data."""
    (trained.root / "notes.txt").write_text("mine")
    trained.git("add", "notes.txt")
    (trained.root / "README.md").write_text("mine")
    images = trained.add_digits(60, 64, into="../later")
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        for path in images:
            archive.write(path, f"{path.parent.name}/{path.name}")
    shutil.rmtree(trained.root / "data/later")
    watching = start(terminal, trained, "--push", "--settle", "3")
    terminal.wait_for("nothing to do")
    (trained.root / "data/raw/film.zip.part").write_bytes(b"half")
    data, before = (tmp_path / "new.zip").read_bytes(), len(logs(trained))
    with (trained.root / "data/raw/new.zip").open("wb") as file:
        for at in range(0, len(data), len(data) // 20):
            file.write(data[at : at + len(data) // 20])
            file.flush()
            time.sleep(0.3)
        assert len(logs(trained)) == before
    terminal.wait_for("pushed")
    end(terminal, watching, signal.SIGINT)
    (line,) = [line for line in terminal.lines if "new image" in line]
    said = LINE.fullmatch(line)
    assert said
    assert said[1] == "4"
    assert newest(trained, "origin/main").startswith("Train on 4 new images: accuracy ")
    assert trained.git("rev-parse", "--short", "origin/main").strip() == said[3]
    assert set(trained.git("show", "--name-only", "--format=").split()) == OWN
    assert trained.git("status", "--porcelain").splitlines() == [" M README.md", "A  notes.txt"]
    assert "refused.csv" not in logs(trained)[-1]
    (trained.root / "data/raw/film.zip.part").unlink()
    trained.git("reset", "--quiet", "--hard")
    clone = trained.clone(tmp_path / "clone")
    clone.git("remote", "set-url", "origin", trained.git("remote", "get-url", "origin").strip())
    clone.git("pull", "--quiet")
    clone.dvc("pull")
    assert clone.snapshot("data/model") == trained.snapshot("data/model")


@pytest.mark.nightly
@pytest.mark.slow
def test_two_watchers(trained: Project) -> None:
    """A second watcher ends with one line that names the first; after a kill the next one can watch."""
    with Terminal() as terminal:
        first = start(terminal, trained)
        terminal.wait_for("nothing to do")
        second = trained.run(sys.executable, "-m", "pipeline", "watch", ok=False)
        assert second.code == 1
        assert second.out == (
            f"pipeline: error: data/raw: another `pipeline watch` is running (pid {first.pid}); "
            "leave it to that one, or end it first\n"
        )
        first.kill()
        first.wait()
    with Terminal() as terminal:
        third = start(terminal, trained)
        terminal.wait_for("nothing to do")
        end(terminal, third, signal.SIGTERM)


@pytest.mark.slow
def test_interrupted(trained: Project, terminal: Terminal) -> None:
    """^C, also repeated, reaches the running stage and waits for it; --once then continues, commits and ends."""
    watching = start(terminal, trained, "--commit", "--settle", "0", "-v")
    terminal.wait_for("nothing to do")
    before = newest(trained)
    trained.add_digits(70, 73)
    terminal.wait_for("> python -m pipeline run train")
    os.killpg(watching.pid, signal.SIGINT)
    end(terminal, watching, signal.SIGINT)
    assert "failed after" not in terminal.text
    assert processes(trained.root) == []
    assert newest(trained) == before
    out = trained.run(sys.executable, "-m", "pipeline", "watch", "--once", "--commit", "--settle", "0").out
    assert "committed" in out
    assert trained.git("status", "--porcelain") == ""
    assert "up to date" in trained.status()


@pytest.mark.slow
@pytest.mark.nightly
def test_trouble(trained: Project, terminal: Terminal, tmp_path: Path) -> None:
    """The watcher survives a failed run and a refused push; the next push includes all data that Git refers to.

    Images that arrive during a run are in the next run.
    """
    bare = trained.git("remote", "get-url", "origin").strip()
    trained.run("git", "clone", "--quiet", bare, str(tmp_path / "colleague"))
    colleague = Project(tmp_path / "colleague")
    colleague.git("commit", "--quiet", "--allow-empty", "--message", "A colleague's")
    colleague.git("push", "--quiet")
    params = trained.read("params.yaml")
    trained.set_params(train={"batch_size": 0})
    watching = start(terminal, trained, "--push", "--settle", "0", "-v")
    terminal.wait_for("error: params.yaml")
    terminal.wait_for("; see data/.progress/watch/")
    (failed,) = [line for line in terminal.lines if "failed after" in line]
    assert re.search(r"failed after \d+ s: listing: error: params\.yaml: .*batch_size", failed)
    assert "batch_size" in (trained.root / failed.rpartition("; see ")[2]).read_text()
    (trained.root / "params.yaml").write_text(params)
    trained.add_digits(80, 82)
    terminal.wait_for("train: warm start")
    trained.add_digits(82, 85)
    terminal.wait_for("committed")
    terminal.wait_for("error: git push: refused, because somebody else has pushed before; run `git pull`")
    terminal.wait_for(" 3 new images; ")
    deadline = time.monotonic() + 60
    while terminal.text.count("refused, because") < 2:
        assert time.monotonic() < deadline, terminal.text
        time.sleep(0.1)
    end(terminal, watching, signal.SIGTERM)
    assert newest(colleague, "origin/main") == "A colleague's"
    assert [newest(trained, revision)[:16] for revision in ("HEAD", "HEAD^")] == [
        "Train on 3 new i",
        "Train on 2 new i",
    ]
    trained.git("pull", "--quiet", "--no-rebase", "--no-edit")
    out = trained.run(sys.executable, "-m", "pipeline", "watch", "--once", "--push", "--settle", "0").out
    assert re.search(r"nothing to do; pushed\n$", out)
    colleague.git("pull", "--quiet")
    for revision in ("HEAD", "HEAD^", "HEAD^^"):
        colleague.git("checkout", "--quiet", revision)
        colleague.dvc("pull")


@pytest.mark.slow
@pytest.mark.nightly
def test_another_run_is_waited_for(trained: Project) -> None:
    """A run left by a killed watcher, like any `dvc repro`, is waited for."""
    with Terminal() as terminal:
        watching = start(terminal, trained, "--settle", "0", "-v")
        terminal.wait_for("nothing to do")
        trained.add_digits(90, 92)
        terminal.wait_for("> python -m pipeline run train")
        watching.kill()
        watching.wait()
    trained.add_digits(92, 95)
    out = trained.run(sys.executable, "-m", "pipeline", "watch", "--once", "--commit", "--settle", "0").out
    assert re.search(r"waiting for .*dvc.* repro \(pid \d+\)\n", out)
    assert re.search(r" 3 new images; .*committed", out)
    assert "failed" not in out
    assert "up to date" in trained.status()
    assert "Updating lock file" in logs(trained)[-2]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((), "data/raw: no such folder; put images there, in the project's folder, and run `dvc add data/raw` once"),
        (
            ("data/raw.dvc", "data/.progress/followed/absent"),  # A clone that had all images.
            "data/raw: no such folder; run `dvc pull data/raw.dvc`",
        ),
        (("data/raw/a.png",), "data/raw: not tracked by DVC yet; run `dvc add data/raw` once, then this"),
    ],
)
def test_nothing_to_watch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made: tuple[str, ...],
    said: str,
) -> None:
    """If there is nothing to watch, a one-line error has a hint."""
    monkeypatch.chdir(tmp_path)
    for name in made:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("[]", encoding="utf-8")
    assert cli.main(["watch"]) == 1
    assert capsys.readouterr() == ("", f"pipeline: error: {said}\n")


def test_nowhere_to_push(project: Project) -> None:
    """Without a DVC remote or a Git upstream, --push fails at once."""
    (project.root / "data/raw.dvc").touch()

    def said() -> str:
        return project.run(sys.executable, "-m", "pipeline", "watch", "--push", ok=False).out

    assert "no default remote to push to; run `dvc remote add --default NAME URL`" in said()
    project.dvc("remote", "add", "--default", "shared", str(project.root.parent / "remote"))
    assert "the branch main has no upstream to push to; run `git push --set-upstream origin main` once" in said()


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_settle_is_a_duration(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid duration is refused."""
    with pytest.raises(SystemExit):
        cli.main(["watch", f"--settle={seconds}"])
    assert f"invalid seconds value: '{seconds}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (
            "ingest: 3 images\ntrain: error: no\x1b room; x\nERROR: failed to reproduce\n",
            "train: error: no\\x1b room; x",
        ),
        ("\rhalf\rERROR: failed to run, exited with -9\n\nhint", "ERROR: failed to run, exited with -9"),
        ("error: failed to push\nfatal: no\nhint: x", "fatal: no"),
        ("a\nlast", "last"),
        ("\n", "ended with status 1"),
    ],
)
def test_last_error(output: str, error: str) -> None:
    """The shown error is the stage's, else DVC's, else the last line of output."""
    assert EndedProcess(1, output).error == error


@pytest.mark.parametrize(
    ("metrics", "new", "old"),
    [
        ('{"accuracy": 0.5, "base": {"accuracy": 0.25}}', "accuracy 25.0 % → 50.0 %", "accuracy 50.0 %"),
        ('{"accuracy": 0.5, "base": null}', "accuracy 50.0 %", "accuracy 50.0 %"),
        ('{"accuracy": null, "base": null}', "nothing measured", "nothing measured"),
        ("<<<<<<<", "nothing measured", "nothing measured"),
    ],
)
def test_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: str, new: str, old: str) -> None:
    """The base's accuracy is shown only with that of a new model."""
    monkeypatch.chdir(tmp_path)
    paths.METRICS.parent.mkdir(parents=True)
    paths.METRICS.write_text(metrics)
    assert (accuracy(is_new=True), accuracy(is_new=False)) == (new, old)


@pytest.mark.parametrize("number", ASKING)
def test_signals_reach_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Each signal becomes one SIGINT for the child and its children, which end in their own time."""
    monkeypatch.chdir(tmp_path)
    script = (
        "n=0; trap 'n=$((n+1)); echo got $n' INT; kill -{0} {1}; sleep 1; kill -{0} {1}; sleep 1; echo done; exit $n"
    )
    before = signal.getsignal(number)
    with noting() as interrupts:
        children = Subprocesses(interrupts, live=False)
        children.open_log()
        ended = children.run("sh", "-c", script.format(number.value, os.getpid()))
    assert ended.code == 2
    assert ended.output == "got 1\ngot 2\ndone\n"
    assert interrupts.came == [number] * 2
    assert signal.getsignal(number) == before


def test_logs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last logs are kept."""
    monkeypatch.chdir(tmp_path)
    with noting() as interrupts:
        children = Subprocesses(interrupts, live=False)
        for number in range(25):
            children.open_log()
            children.run("echo", str(number))
    assert [log.splitlines()[-1] for log in logs(Project(tmp_path))] == [str(number) for number in range(5, 25)]


def test_nohup() -> None:
    """A watcher started by `nohup` survives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with noting() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert interrupts.came == []
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
