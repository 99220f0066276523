"""`pipeline log` shows the trainings in Git's history, in repositories without data."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli, paths
from pipeline.errors import RecordError
from pipeline.lineage.ancestors import known_ancestors
from pipeline.lineage.history import drawing, generations, trainings
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Recorded

Capture = pytest.CaptureFixture[str]


def git(*arguments: str) -> str:
    """Run Git, and return its output."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def recorded(model: str, base: str | None = None, generation: int = 1) -> Recorded:
    """Return what evaluate would write."""
    return Recorded(
        generation=generation,
        start="warm" if base else "cold",
        reason="",
        base=base,
        images=ImageCounts(total=1234, new=34, removed=2, relabelled=0),
        epochs=Epochs(run=1, total=2),
        steps=Budget(run=1000, total=2000),
        model=model,
    )


def train(model: str, base: str | None = None, generation: int = 1, *, accuracy: float | None = 0.5) -> str:
    """Commit a training, and return its commit."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    RECORDED.write_text(recorded(model, base, generation).model_dump_json())
    paths.METRICS.write_text(json.dumps({"accuracy": accuracy}))
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Train {model}")
    return git("rev-parse", "HEAD")


def models(revision: str = "HEAD") -> list[str]:
    """Return the listed models, newest first."""
    return [training.recorded.model for training in trainings(revision)]


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository with a commit without training."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "README").touch()
    git("add", "README")
    git("commit", "--quiet", "--message", "Begin")


def test_chain(capsys: Capture) -> None:
    """Each training is listed once, newest first, whatever other commits exist."""
    first = train("aaaaaaaaaaaa.dir")
    git("commit", "--quiet", "--allow-empty", "--message", "Something else")
    second = train("bbbbbbbbbbbb.dir", "aaaaaaaaaaaa.dir", 2, accuracy=None)
    assert [(one.commit, one.recorded.base, one.accuracy) for one in trainings()] == [
        (second, "aaaaaaaaaaaa.dir", None),
        (first, None, 0.5),
    ]
    assert models(first) == ["aaaaaaaaaaaa.dir"]
    assert cli.main(["log"]) == 0
    header, newest, oldest = capsys.readouterr().out.splitlines()
    assert " ".join(header.split()) == "when who start images new removed steps accuracy gate base model commit"
    assert newest.split("generation")[1].split() == [
        "2",
        "1,234",
        "34",
        "2",
        "1,000",
        "aaaaaaaa",
        "bbbbbbbb",
        second[:7],
    ]
    shown = oldest.split("generation")[1].split()
    assert shown == ["1", "1,234", "34", "2", "1,000", "50.0", "%", "aaaaaaaa", first[:7]]


def test_json(capsys: Capture) -> None:
    """JSON contains everything that is recorded."""
    commit = train("a.dir")
    assert cli.main(["log", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["commit"], one["subject"], one["accuracy"]) == (commit, "Train a.dir", 0.5)
    assert one["recorded"] == recorded("a.dir").model_dump(mode="json")


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_merge(side: str, capsys: Capture) -> None:
    """Trainings of both sides of a merge are listed, and the graph shows the merge."""
    train("a.dir")
    git("checkout", "--quiet", "-b", "other")
    train("b.dir", "a.dir", 2)
    git("checkout", "--quiet", "main")
    train("c.dir", "a.dir", 2)
    git("merge", "--quiet", "--strategy-option", side, "--message", "Merge", "other")
    assert set(models()) == {"a.dir", "b.dir", "c.dir"}
    merged = train("d.dir", "b.dir", 3)
    assert models()[0] == "d.dir"
    assert trainings()[0].commit == merged
    assert cli.main(["log", "--graph"]) == 0
    drawn = capsys.readouterr().out
    assert "|/" in drawn
    assert all(f" {model} " in drawn for model in ("a.dir", "b.dir", "c.dir", "d.dir"))
    assert any(line.training is None for line in drawing())


def test_revert() -> None:
    """After a revert the earlier model is listed again."""
    train("a.dir")
    train("b.dir", "a.dir", 2)
    git("revert", "--no-edit", "HEAD")
    assert models() == ["a.dir", "b.dir", "a.dir"]


def test_rebase() -> None:
    """After a rebase the new commits are listed, and not the replaced ones."""
    train("a.dir")
    git("checkout", "--quiet", "-b", "other")
    train("b.dir", "a.dir", 2)
    git("checkout", "--quiet", "main")
    (Path.cwd() / "README").write_text("more")
    git("commit", "--quiet", "--all", "--message", "More")
    git("rebase", "--quiet", "main", "other")
    assert models() == ["b.dir", "a.dir"]


def test_nothing_yet(capsys: Capture) -> None:
    """Without a training one line says so."""
    assert cli.main(["log"]) == 0
    assert capsys.readouterr().out == "no commit records a training yet; `dvc repro`, then `git commit`, makes one\n"


@pytest.mark.parametrize("model", ["a.dir", "b.dir"])
def test_what_nobody_committed(model: str, capsys: Capture) -> None:
    """The uncommitted model in dvc.lock is listed after the history, unless it is in it."""
    train("a.dir")
    lock = f"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: data/model\n      md5: {model}\n"
    Path("dvc.lock").write_text(lock)
    assert cli.main(["log"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert (last == f"not committed yet: {model}…; run `git add --all && git commit`") == (model == "b.dir")


@pytest.mark.parametrize("revision", ["nowhere", "--output=x"])
def test_unknown_revision(revision: str) -> None:
    """An unknown revision is a one-line error; names like options are not options."""
    with pytest.raises(RecordError, match=r"^git: "):
        trainings(revision)
    assert not Path("x").exists()


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing repository is a one-line error."""
    (tmp_path / ".git").rename(tmp_path / "git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(RecordError, match=r"not a git repository.*run this in a clone"):
        trainings()


@pytest.mark.parametrize("content", ["", "{}", "<<<<<<< HEAD", '{"generation": "many"}'])
def test_damaged(content: str, caplog: pytest.LogCaptureFixture) -> None:
    """An unreadable record in a commit is named and skipped, since it cannot be fixed any more."""
    first = train("a.dir")
    RECORDED.write_text(content)
    git("commit", "--quiet", "--all", "--message", "Damage")
    train("b.dir", "a.dir", 2)
    newest, oldest = trainings()
    assert (newest.recorded.model, oldest.recorded.model) == ("b.dir", "a.dir")
    assert newest.parents == [first]
    (said,) = caplog.messages
    assert re.fullmatch(rf"{RECORDED} of [0-9a-f]{{7}}: cannot be read; see `git show .*`", said)


def test_measured_again() -> None:
    """A model that was evaluated again has the newest metrics, with the first commit."""
    first = train("a.dir", accuracy=0.5)
    RECORDED.write_text(recorded("a.dir").model_copy(update={"accepted": True}).model_dump_json())
    paths.METRICS.write_text(json.dumps({"accuracy": 0.6}))
    git("commit", "--quiet", "--all", "--message", "Another gate")
    (only,) = trainings()
    assert (only.commit, only.accuracy, only.recorded.accepted) == (first, 0.6, True)


def test_subfolder(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A project in a subfolder of its repository has a history; only merging is refused there."""
    Path("project").mkdir()
    monkeypatch.chdir("project")
    train("a.dir")
    assert models() == ["a.dir"]
    assert cli.main(["setup"]) == 1
    assert "the project is in the folder project/ of its repository" in capsys.readouterr().err


def test_removed() -> None:
    """A commit that removes the record is not a training."""
    train("a.dir")
    git("rm", "--quiet", str(RECORDED))
    git("commit", "--quiet", "--message", "Remove")
    assert models() == ["a.dir"]


def test_shallow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A shallow clone lists its trainings, and says what to fetch."""
    train("a.dir")
    train("b.dir", "a.dir", 2)
    git("clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    assert cli.main(["log"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "git fetch --unshallow" in said.err


def test_odd_names(capsys: Capture) -> None:
    """Any names and messages are safe for the terminal, and fields stay separate."""
    git("config", "user.name", "Änn \x1b[31m| 猫")
    train("a.dir")
    git("commit", "--quiet", "--amend", "--message", "one\x1ftwo")
    assert trainings()[0].author == "Änn \x1b[31m| 猫"
    assert cli.main(["log"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_many_commits_take_few_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of Git processes does not grow with the history."""
    stream = ["reset refs/heads/main"]
    for number in range(1000):
        content = recorded(f"{number}.dir", f"{number - 1}.dir" if number else None, number + 1).model_dump_json()
        stream += [f"commit refs/heads/main\ncommitter A <a@b> {number} +0000\ndata 1\nx", f"M 644 inline {RECORDED}"]
        stream += [f"data {len(content)}\n{content}"]
    subprocess.run(["git", "fast-import", "--quiet", "--force"], input="\n".join([*stream, ""]), text=True, check=True)
    calls: list[object] = []
    original: Callable[..., object] = subprocess.run

    def counting(*arguments: object, **more: object) -> object:
        calls.append(arguments)
        return original(*arguments, **more)

    monkeypatch.setattr(subprocess, "run", counting)
    assert models() == [f"{number}.dir" for number in reversed(range(1000))]
    assert len(calls) == 2


def test_ancestors() -> None:
    """The chain of bases is listed, oldest first; the commit of the model itself changes nothing."""
    train("a.dir")
    git("checkout", "--quiet", "-b", "other")
    train("x.dir", "a.dir", 2)
    git("checkout", "--quiet", "main")
    train("b.dir", "a.dir", 2, accuracy=0.25)
    git("merge", "--quiet", "--strategy-option", "ours", "--message", "Merge", "other")
    before = known_ancestors("b.dir")
    assert [one.recorded.model for one in before] == ["a.dir", "b.dir"]
    train("c.dir", "b.dir", 3)
    train("b.dir", "a.dir", 2, accuracy=0.75)
    assert known_ancestors("b.dir") == before
    assert [one.recorded.model for one in known_ancestors("c.dir")] == ["a.dir", "b.dir", "c.dir"]
    assert known_ancestors(None) == known_ancestors("unknown.dir") == []


def test_generations() -> None:
    """Each model is listed once, oldest first, by its first commit; of one branch, or of all."""
    first = train("a.dir")
    second = train("b.dir", "a.dir", 2)
    git("revert", "--no-edit", "HEAD")
    git("checkout", "--quiet", "-b", "other", first)
    third = train("c.dir", "a.dir", 2)
    assert [one.commit for one in generations("main")] == [first, second]
    assert [one.commit for one in generations()] == [first, third]
    assert {one.commit for one in generations(None)} == {first, second, third}
    assert generations(None)[0].name == f"generation 1 ({first[:7]})"


@pytest.mark.parametrize("content", ["", "[]", "{}", "<<<<<<< HEAD"])
def test_damaged_metrics(content: str, caplog: pytest.LogCaptureFixture) -> None:
    """Unreadable metrics in a commit are named and skipped."""
    train("a.dir")
    paths.METRICS.write_text(content)
    RECORDED.write_text(recorded("b.dir", "a.dir", 2).model_dump_json())
    git("commit", "--quiet", "--all", "--message", "Damage")
    assert models() == ["a.dir"]
    (said,) = caplog.messages
    assert re.search(r"see `git show [0-9a-f]{7}:data/report/", said)
