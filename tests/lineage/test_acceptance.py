"""Verdicts of users on models are stored in Git, one line each, and apply from the next run on."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from conftest import ROOT, Project, stages_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage.test_history import git, recorded
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from pipeline import cli, paths
from pipeline.errors import RecordError
from pipeline.lineage.acceptance import Judgement, read_judgements, refused_models, write_judgements
from pipeline.lineage.base import FIRST as FIRST_TRAINING
from pipeline.lineage.base import NONE
from pipeline.lineage.lineage import RECORDED
from pipeline.versioning.hashing import hash_of_files

Capture = pytest.CaptureFixture[str]
FIRST, SECOND, THIRD = (f"{digit * 32}.dir" for digit in "abc")
YES, NO = Judgement(accepted=True, why="so"), Judgement(accepted=False, why="«étude»")


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository without a commit."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    Path(".gitattributes").write_text((ROOT / ".gitattributes").read_text())


def train(model: str, base: str | None, generation: int, *, accepted: bool | None = True) -> None:
    """Commit a training as evaluate and DVC record it."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    told = recorded(model, base, generation).model_copy(update={"accepted": accepted, "verdict": "it is so"})
    RECORDED.write_text(told.model_dump_json())
    lock(model, base)
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Train {model[:1]}")


def lock(model: str, base: str | None = None, params: Mapping[str, object] = MappingProxyType({})) -> None:
    """Write a dvc.lock that records `model`, trained from `base` with these params."""
    none = hash_of_files({NONE: f"{FIRST_TRAINING}\n".encode()})
    deps, outs = [{"path": "data/base", "md5": base or none}], [{"path": "data/model", "md5": model}]
    train = {"cmd": "train", "deps": deps, "outs": outs, "params": {"params.yaml": dict(params)}}
    YAML().dump({"schema": "2.0", "stages": {"train": train}}, paths.LOCK)


@given(
    st.dictionaries(
        st.text("0123456789abcdef", min_size=1), st.builds(Judgement, accepted=st.booleans(), why=st.text())
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_round_trip(judgements: dict[str, Judgement]) -> None:
    """Judgements are read back as written, in the same bytes for any order, with a line for each model."""
    try:
        write_judgements(judgements)
    except UnicodeEncodeError:
        return  # The command's handling of it is tested below.
    assert read_judgements() == judgements
    content = paths.ACCEPTED.read_bytes()
    write_judgements(dict(reversed(judgements.items())))
    assert paths.ACCEPTED.read_bytes() == content
    assert content.count(b"\n") == len(judgements) + 3


def test_none_yet() -> None:
    """Without the file there are no judgements."""
    assert read_judgements() == {}


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "[]",
            "null",
            "3",
            '"x"',
            "\x00",
            "<<<<<<< HEAD\n{}",
            '{"a.dir": true}',
            '{"a.dir": {}}',
            "[" * 99_999,
        ),
        '{"a.dir": {"accepted": "yes", "why": ""}}',
        '{"a.dir": {"accepted": true, "why": "", "when": 3}}',
    ],
)
def test_damaged(content: str) -> None:
    """A file that is no such mapping is a one-line error with a hint."""
    paths.DATA.mkdir()
    paths.ACCEPTED.write_text(content)
    with pytest.raises(RecordError, match=r"^data/accepted.json: no map .* `git checkout data/accepted.json"):
        read_judgements()


def test_not_utf8() -> None:
    """A file that is not UTF-8 is a one-line error with a hint."""
    paths.DATA.mkdir()
    paths.ACCEPTED.write_bytes(b'{"a.dir": {"accepted": true, "why": "\xff"}}')
    with pytest.raises(RecordError, match="no map"):
        read_judgements()


def merge(ours: dict[str, Judgement], theirs: dict[str, Judgement], *, before: dict[str, Judgement]) -> None:
    """Merge two branches with judgements in Git."""
    for branch, judged in (("main", before), ("other", theirs), ("main", ours)):
        git("checkout", "--quiet", "-B" if branch == "other" else "-q", branch) if judged is not before else None
        write_judgements({**before, **judged})
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", branch)
    git("merge", "--quiet", "--message", "Merge", "other")


@pytest.mark.parametrize("before", [{}, {SECOND: YES}])
def test_git_merges_what_two_people_decide(before: dict[str, Judgement]) -> None:
    """Git merges the lines of both branches at any place; the next write sorts them."""
    merge({FIRST: YES}, {THIRD: NO}, before=before)
    assert read_judgements() == {**before, FIRST: YES, THIRD: NO}
    write_judgements(read_judgements())
    assert list(json.loads(paths.ACCEPTED.read_text())) == [*sorted({**before, FIRST: YES, THIRD: NO}), ""]


def test_two_who_contradict_each_other() -> None:
    """Contradictory verdicts on a model are an error that names it; the same verdict twice is one."""
    merge({FIRST: YES}, {FIRST: NO}, before={})
    with pytest.raises(RecordError, match=f"two judgements of {FIRST}; keep one"):
        read_judgements()


def test_gate_of_another_model_does_not_count() -> None:
    """A verdict on another model than the recorded one does not count."""
    train(SECOND, FIRST, 2, accepted=False)
    assert refused_models(SECOND, has_base=True) == {SECOND}
    with pytest.raises(RecordError, match=rf"{THIRD}.*dvc repro --single-item evaluate"):
        refused_models(THIRD, has_base=True)
    assert refused_models(THIRD, has_base=False) == frozenset()
    write_judgements({THIRD: YES, FIRST: NO})
    assert refused_models(THIRD, has_base=True) == {FIRST}


def test_accept_the_last(capsys: Capture) -> None:
    """Without a name the model in dvc.lock is accepted; the effect is printed, and `pipeline log` shows it."""
    train(FIRST, None, 1)
    train(SECOND, FIRST, 2, accepted=False)
    assert cli.main(["accept", "--why", " labels were\nwrong "]) == 0
    assert capsys.readouterr().out == (
        "accepted bbbbbbbb… (generation 2): labels were wrong\n"
        "next base, when images have changed: bbbbbbbb…\n"
        "next: git add data/accepted.json && git commit\n"
    )
    assert read_judgements() == {SECOND: Judgement(accepted=True, why="labels were wrong")}
    assert cli.main(["log"]) == 0
    _, newest, oldest = capsys.readouterr().out.splitlines()
    assert " accepted by hand " in newest
    assert " accepted " in oldest
    assert "by hand" not in oldest
    assert cli.main(["log", "--json"]) == 0
    newest, oldest = json.loads(capsys.readouterr().out)
    assert (newest["accepted"], newest["judgement"]["why"], newest["recorded"]["accepted"]) == (
        True,
        "labels were wrong",
        False,
    )
    assert (oldest["accepted"], oldest["judgement"]) == (True, None)


@pytest.mark.parametrize("name", ["HEAD~1", "old", "aaaa", FIRST, "aaaaaaaa…"])
def test_names_of_a_model(name: str, capsys: Capture) -> None:
    """A model is named by a revision or a hash prefix; if a base is refused, the next run starts before it."""
    train(FIRST, None, 1)
    git("tag", "old")
    train(SECOND, FIRST, 2, accepted=False)
    assert cli.main(["refuse", name, "--why", "so"]) == 0
    assert list(read_judgements()) == [FIRST]
    said = capsys.readouterr().out
    assert said.startswith("refused aaaaaaaa… (generation 1): so\n")
    assert "next base, when images have changed: none; training starts from scratch\n" in said


@pytest.mark.parametrize("name", ["nowhere", "aaa", "", "dddd", "--output=x", "HEAD~9", "a\nb", "v0"])
def test_names_of_no_model(name: str, capsys: Capture) -> None:
    """An invalid name is a one-line error, and nothing is written; names like options are not options."""
    git("commit", "--quiet", "--allow-empty", "--message", "Begin")
    git("tag", "v0")
    train(FIRST, None, 1)
    assert cli.main(["accept", "--why=so", "--", name]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "neither a revision that records a model nor a model's hash; `pipeline log` lists" in said
    assert not paths.ACCEPTED.exists()


def test_name_of_two_models(capsys: Capture) -> None:
    """A branch whose name is another model's hash prefix is ambiguous, and is an error."""
    train(FIRST, None, 1)
    git("branch", "bbbb")
    train(SECOND, FIRST, 2)
    assert cli.main(["accept", "bbbb", "--why", "so"]) == 1
    assert "bbbb: stands for 2 models" in capsys.readouterr().err


@pytest.mark.parametrize("why", ["", "  \n"])
def test_a_reason_must_be_given(why: str, capsys: Capture) -> None:
    """An empty reason is an error."""
    train(FIRST, None, 1)
    assert cli.main(["accept", "--why", why]) == 1
    assert "--why: is empty" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["accept", "HEAD"])
    assert not paths.ACCEPTED.exists()


def test_odd_reasons() -> None:
    """Any reason can be written, and shown on a terminal."""
    train(FIRST, None, 1)
    assert cli.main(["accept", "--why", 'a "b" \udcff\x1b[31m 猫']) == 0
    assert read_judgements()[FIRST].why == r'a "b" \udcff\x1b[31m 猫'


def test_without_commits_or_judgement(capsys: Capture) -> None:
    """A model without a verdict, since evaluate failed, or of no commit, is found by dvc.lock."""
    lock(FIRST)
    assert cli.main(["refuse", "--why", "so"]) == 0
    assert "aaaaaaaa…: so" in capsys.readouterr().out
    lock(SECOND)
    assert cli.main(["accept", "aaaa", "--why", "so"]) == 1
    paths.LOCK.unlink()
    assert cli.main(["accept", "--why", "so"]) == 1
    assert "dvc.lock: records no training" in capsys.readouterr().err


def test_damaged_file_is_not_written_over(capsys: Capture) -> None:
    """A damaged file is not overwritten, so that others' verdicts are not lost."""
    train(FIRST, None, 1)
    paths.ACCEPTED.write_text("<<<<<<<")
    assert cli.main(["accept", "--why", "so"]) == 1
    assert "data/accepted.json: no map" in capsys.readouterr().err
    assert paths.ACCEPTED.read_text() == "<<<<<<<"


@pytest.fixture(scope="module")
def forgetful(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project, with a remote, whose second generation learned that threes are eights. Tests clone it."""
    folder = tmp_path_factory.mktemp("forgetful")
    project = make_project(folder / "project")
    gate = {"drop": 0.01, "class_drop": 0.1, "flips": None, "confidence": 0.95}
    project.set_params(
        manifest={"split": {"val": 0.1, "test": 0.4, "by": "hash", "group": None}},
        train={"optimizer": "adamw", "epochs": 6, "warm_epochs": 6, "lr": 1e-2, "warm_lr": 1.0},
        evaluate={"gate": gate},
    )
    project.add_digits(0, 1400)
    project.dvc("remote", "add", "--default", "storage", str(folder / "remote"))
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("generation 1")
    project.dvc("push", "--quiet")
    trained_on, target = {*project.ids("train")}, load_digits().target
    files = project.snapshot("data/raw")
    threes = [name for name, md5 in files.items() if md5 in trained_on and target[int(Path(name).stem)] == 3]
    lines = [f"{Path(name).relative_to('data/raw')},digit 8\n" for name in sorted(threes)[2:]]
    (project.root / "data/raw/labels.csv").write_text("".join(["path,label\n", *lines]))
    project.run("sh", "-c", "dvc repro > ../printed 2>&1")
    project.commit("generation 2")
    project.dvc("push", "--quiet")
    return project


def forgotten(project: Project, folder: Path) -> Project:
    """Return a clone of the project with its data."""
    clone = project.clone(folder)
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    return clone


@pytest.mark.slow
def test_model_that_forgot_a_class_is_not_the_next_base(forgetful: Project, tmp_path: Path) -> None:
    """A model that forgot a class is not accepted, Git has the reason, and a fresh clone trains from the one before."""
    first, second = (model for model in models(forgetful))
    printed = forgetful.read("../printed")
    assert "; not accepted: " in printed
    assert "recall of 'digit 3' fell from " in printed
    metrics = json.loads(forgetful.git("show", "HEAD:data/report/metrics.json"))
    assert metrics["accepted"] is False
    details = json.loads(forgetful.git("show", "HEAD:data/report/details.json"))
    assert details["verdict"] in " ".join(printed.split())
    assert forgetful.lock()["train"]["outs"]["data/model"] == second
    clone = forgotten(forgetful, tmp_path / "clone")
    clone.add_digits(1400, 1420)
    said = " ".join(clone.run("python", "-m", "pipeline", "status").out.split())
    assert f"base {first[:8]}…, as for the model before, generation 1" in said
    assert f"note generation 2 is not accepted: {details['verdict']}; training on other images starts from" in said
    out = clone.repro("--pull")
    assert f"base {first[:8]}… (newer ones are not accepted)" in out
    assert clone.lock()["train"]["deps"]["data/base"] == first


@pytest.mark.slow
def test_accepted_by_hand_it_is_the_next_base(forgetful: Project, tmp_path: Path) -> None:
    """A model accepted by hand is the next base in any clone; this trains nothing, and the gate's verdict stays."""
    _, second = models(forgetful)
    mine, other = forgotten(forgetful, tmp_path / "mine"), tmp_path / "other"
    said = mine.run("python", "-m", "pipeline", "accept", "HEAD", "--why", "threes are eights now").out
    assert f"next base, when images have changed: {second[:8]}…" in said
    assert mine.git("status", "--porcelain").split() == ["??", "data/accepted.json"]
    mine.commit("accept it")
    assert stages_run(mine.repro("--pull")) == []
    clone = forgotten(mine, other)
    clone.add_digits(1400, 1420)
    out = clone.repro("--pull")
    assert f"train: warm start from {second[:8]}" in out
    assert clone.lock()["train"]["deps"]["data/base"] == second
    assert "accepted by hand" in clone.run("python", "-m", "pipeline", "log").out


@pytest.mark.slow
@pytest.mark.nightly
def test_model_that_was_not_evaluated(forgetful: Project, tmp_path: Path) -> None:
    """If evaluate failed, the next run says how to evaluate the model, which works."""
    _, second = models(forgetful)
    clone = forgotten(forgetful, tmp_path / "clone")
    clone.dvc("pull", "--quiet")
    lock = YAML(typ="safe").load(clone.root / "dvc.lock")
    del lock["stages"]["evaluate"]  # As after `dvc repro train`, or a kill.
    YAML().dump(lock, clone.root / "dvc.lock")
    (clone.root / RECORDED).unlink()
    clone.add_digits(1400, 1420)
    out = clone.repro(ok=False)
    assert f"does not say whether {second}" in out
    assert "manifest: error: " in out
    judged = clone.repro("--single-item", "evaluate")
    assert stages_run(judged) == ["evaluate"]
    assert "; not accepted: " in judged
    assert "(newer ones are not accepted)" in clone.repro()


def models(project: Project) -> list[str]:
    """Return the hashes of the models of both generations."""
    lineage = json.loads(project.read("data/report/lineage.json"))
    assert lineage["generation"] == 2
    return [lineage["base"], lineage["model"]]


def test_attributes_are_set() -> None:
    """.gitattributes tells Git how to merge the file."""
    out = subprocess.run(
        ["git", "check-attr", "merge", str(paths.ACCEPTED)], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip().endswith(": merge: union")
