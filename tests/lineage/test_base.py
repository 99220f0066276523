"""The base of a training is selected by a dvc.lock, and copied from a real cache."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.errors import MissingDataError, RecordError
from pipeline.files import md5_of_file
from pipeline.lineage import base, selection
from pipeline.lineage.acceptance import Judgement, write_judgements
from pipeline.lineage.base import FIRST, HELD_OUT, REFUSED, WANTED
from pipeline.lineage.lineage import (
    LINEAGE,
    RECORDED,
    Budget,
    ImageCounts,
    Lineage,
    Recorded,
    read_lineage,
    write_lineage,
)
from pipeline.lineage.selection import settle
from pipeline.params import Params, read_params
from pipeline.versioning import fetching, hashing, objects, repository

PARAMS = read_params(ROOT / "params.yaml")
MANIFESTS = ("train.csv", "val.csv")


def model(number: int, parent: str | None) -> str:
    """Make data/model the model of generation `number`, put it into the cache, and return its hash."""
    shutil.rmtree(paths.MODEL, ignore_errors=True)
    paths.MODEL.mkdir(parents=True)
    (paths.MODEL / "checkpoint.ckpt").write_text(f"generation {number}")
    counts, budget = ImageCounts(total=1, new=1, removed=0, relabelled=0), Budget(run=1, total=number)
    start = "cold" if parent is None else "warm"
    epochs = {"run": 1, "total": number}
    facts = {"generation": number, "start": start, "reason": "", "base": parent}
    write_lineage(
        Lineage.model_validate({**facts, "images": counts, "epochs": epochs, "steps": budget}),
        paths.MODEL,
    )
    subprocess.run(["dvc", "add", "--quiet", str(paths.MODEL)], check=True)
    oid = hashing.directory_hash(paths.MODEL)
    assert oid is not None
    return oid


def record(trained: str, started: str, manifest: Path, *, accepted: bool | None = True) -> None:
    """Write a dvc.lock of a training on `manifest` from `started` to `trained`, with the gate's verdict."""
    told = {**read_lineage(paths.MODEL).model_dump(), "model": trained, "accepted": accepted}
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    RECORDED.write_text(Recorded.model_validate(told).model_dump_json())
    deps = [{"path": f"data/manifest/{name}", "md5": md5_of_file(manifest / name)} for name in MANIFESTS]
    train = {
        "cmd": "train",
        "deps": [*deps, {"path": "data/base", "md5": started}],
        "outs": [{"path": "data/model", "md5": trained}],
    }
    YAML().dump({"schema": "2.0", "stages": {"train": train}}, paths.LOCK)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a DVC repository whose cache has three models, each the base of the next, and their hashes."""
    root = tmp_path_factory.mktemp("base") / "repo"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        subprocess.run(["git", "init", "--quiet"], check=True)
        subprocess.run(["dvc", "init", "--quiet"], check=True)
        oids: list[str] = []
        for number in (1, 2, 3):
            oids.append(model(number, oids[-1] if oids else None))
        for name in ("old", "new"):
            (root / name).mkdir()
            for file in MANIFESTS:
                (root / name / file).write_text(f"id,label,md5\n{name} {file}\n")
    return root, oids


@pytest.fixture
def oids(cached: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the hashes, with a copy of the repository as working directory, and the third model in data/model."""
    shutil.copytree(cached[0], tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return cached[1]


def anything(_: Path) -> bool:
    """Admit every model."""
    return True


def generations(*admitted: int) -> Callable[[Path], bool]:
    """Return a function that admits the models of these generations."""
    return lambda folder: (folder / "checkpoint.ckpt").read_text() in {f"generation {number}" for number in admitted}


def lose(oid: str) -> None:
    """Remove a directory from the cache."""
    Path(".dvc/cache/files/md5", oid[:2], oid[2:]).unlink()


def test_without_a_record_there_is_no_base(oids: list[str]) -> None:
    """Without any training data/base states that there is no base."""
    shutil.rmtree(paths.MODEL)
    assert settle(Path("new"), PARAMS, anything).reason == FIRST
    assert base.reason_for_none(paths.BASE) == FIRST
    assert oids


def test_new_images_start_from_the_recorded_model(oids: list[str]) -> None:
    """If the manifests changed, the base is an exact copy of the recorded model."""
    record(oids[2], oids[1], Path("old"))
    assert settle(Path("new"), PARAMS, anything).oid == oids[2]
    assert hashing.directory_hash(paths.BASE) == oids[2]


def test_same_images_start_from_the_recorded_base(oids: list[str]) -> None:
    """If the manifests are those of the recorded model, its base is kept."""
    record(oids[2], oids[1], Path("old"))
    assert settle(Path("old"), PARAMS, anything).oid == oids[1]
    assert hashing.directory_hash(paths.BASE) == oids[1]


@pytest.mark.parametrize("reason", [FIRST, HELD_OUT, REFUSED, WANTED])
def test_same_images_keep_having_no_base(oids: list[str], reason: str) -> None:
    """The record of no base has a hash like any other, and needs no cache."""
    base.write_none(Path("none"), reason)
    none = hashing.directory_hash(Path("none"))
    assert none is not None
    record(oids[0], none, Path("old"))
    assert settle(Path("old"), PARAMS, anything) == base.Base(oid=None, reason=reason, again=True)


@pytest.mark.parametrize(("admitted", "expected"), [((3, 1), 2), ((2, 1), 1), ((1,), 0)])
def test_newest_admitted_ancestor_is_taken(oids: list[str], admitted: tuple[int, ...], expected: int) -> None:
    """If a model is not admitted, the newest admitted ancestor is the base."""
    record(oids[2], oids[1], Path("old"))
    settled = settle(Path("new"), PARAMS, generations(*admitted))
    assert settled.oid == oids[expected]
    assert ("have seen images" in str(settled)) == (expected != 2)
    assert hashing.directory_hash(paths.BASE) == oids[expected]


def test_where_no_ancestor_is_admitted_it_says_why(oids: list[str]) -> None:
    """If no ancestor is admitted, training starts from scratch, with the reason."""
    record(oids[2], oids[1], Path("old"))
    assert settle(Path("new"), PARAMS, generations()).reason == HELD_OUT
    assert base.reason_for_none(paths.BASE) == HELD_OUT


def judge(**judgements: bool) -> None:
    """Write verdicts of users on models."""
    write_judgements({oid: Judgement(accepted=accepted, why="x") for oid, accepted in judgements.items()})


def test_refused_model_is_no_base(oids: list[str]) -> None:
    """A model that the gate refused is skipped; the base is the model that it started from."""
    record(oids[2], oids[1], Path("old"), accepted=False)
    settled = settle(Path("new"), PARAMS, anything)
    assert settled.oid == oids[1]
    assert str(settled).endswith("(newer ones are not accepted)")
    assert hashing.directory_hash(paths.BASE) == oids[1]


def test_people_overrule_the_gate(oids: list[str]) -> None:
    """Users overrule the gate in both directions, also for earlier bases."""
    record(oids[2], oids[1], Path("old"), accepted=False)
    judge(**{oids[2]: True})
    assert settle(Path("new"), PARAMS, anything).oid == oids[2]
    record(oids[2], oids[1], Path("old"), accepted=True)
    judge(**{oids[2]: False, oids[1]: False})
    assert settle(Path("new"), PARAMS, anything).oid == oids[0]


def test_same_images_keep_a_base_that_is_refused_now(oids: list[str]) -> None:
    """A verdict alone does not cause a training."""
    record(oids[2], oids[1], Path("old"), accepted=False)
    judge(**{oids[1]: False})
    assert settle(Path("old"), PARAMS, anything).oid == oids[1]


@pytest.mark.parametrize("admitted", [(), (3, 2, 1)])
def test_where_all_are_refused_it_says_why(oids: list[str], admitted: tuple[int, ...]) -> None:
    """If all models are refused, training starts from scratch, with the reason."""
    record(oids[2], oids[1], Path("old"), accepted=False)
    judge(**{oids[0]: False, oids[1]: False})
    assert settle(Path("new"), PARAMS, generations(*admitted)).reason == REFUSED
    assert base.reason_for_none(paths.BASE) == REFUSED


def test_refused_and_not_admitted(oids: list[str]) -> None:
    """Both reasons are given."""
    record(oids[2], oids[1], Path("old"), accepted=False)
    settled = settle(Path("new"), PARAMS, generations(1))
    assert settled.oid == oids[0]
    assert settled.reason == "newer ones are not accepted or have seen images that they must not"


def test_model_that_was_never_judged(oids: list[str]) -> None:
    """A model without a verdict, since evaluate failed, is an error; the same images need no verdict."""
    record(oids[2], oids[1], Path("old"))
    settle(Path("old"), PARAMS, anything)
    RECORDED.unlink()
    with pytest.raises(RecordError, match=f"{oids[2]}.*run `dvc repro --single-item evaluate`"):
        settle(Path("new"), PARAMS, anything)
    assert hashing.directory_hash(paths.BASE) == oids[1]
    assert settle(Path("old"), PARAMS, anything).oid == oids[1]


def test_first_model_that_was_never_judged(oids: list[str]) -> None:
    """The first model has nothing to be compared with, so it is accepted."""
    base.write_none(Path("none"), FIRST)
    record(oids[0], str(hashing.directory_hash(Path("none"))), Path("old"))
    RECORDED.unlink()
    assert settle(Path("new"), PARAMS, anything).oid == oids[0]


def test_model_from_before_there_was_a_gate(oids: list[str]) -> None:
    """In releases before the gate every model was the next base."""
    record(oids[2], oids[1], Path("old"), accepted=None)
    assert settle(Path("new"), PARAMS, anything).oid == oids[2]


def test_lost_model_is_an_error(oids: list[str]) -> None:
    """A lost model is an error with its hash and a hint, and data/base does not change."""
    record(oids[2], oids[1], Path("old"))
    settle(Path("old"), PARAMS, anything)
    shutil.rmtree(paths.MODEL)
    lose(oids[2])
    for attempt in (lambda: settle(Path("new"), PARAMS, anything), lambda: selection.secure(PARAMS)):
        with pytest.raises(MissingDataError, match=f"{oids[2]}.*no remote is set.*pipeline fresh"):
            attempt()
    assert hashing.directory_hash(paths.BASE) == oids[1]


def test_lost_ancestor_is_an_error(oids: list[str]) -> None:
    """A needed ancestor that is lost is not skipped."""
    record(oids[2], oids[1], Path("old"))
    lose(oids[1])
    with pytest.raises(MissingDataError, match=oids[1]):
        settle(Path("new"), PARAMS, generations(1))


def test_model_of_other_bytes_is_not_taken(oids: list[str]) -> None:
    """A changed or damaged data/model is not copied; the cache has the recorded one."""
    record(oids[2], oids[1], Path("old"))
    (paths.MODEL / "checkpoint.ckpt").unlink()
    (paths.MODEL / "checkpoint.ckpt").write_text("by hand")
    assert settle(Path("new"), PARAMS, anything).oid == oids[2]
    assert (paths.BASE / "checkpoint.ckpt").read_text() == "generation 3"


def test_damaged_object_in_the_cache_is_refused(oids: list[str]) -> None:
    """Damaged bytes are not used, wherever they are."""
    record(oids[2], oids[1], Path("old"))
    repo = repository.repository()
    entries = objects.listing(repo, oids[2])
    assert entries is not None
    path = Path(repo.cache.local.oid_to_path(entries["checkpoint.ckpt"]))
    shutil.rmtree(paths.MODEL)
    path.chmod(0o644)
    path.write_text("damaged")
    with pytest.raises(MissingDataError, match=oids[2]):
        settle(Path("new"), PARAMS, anything)


def test_cold_start_on_purpose_needs_no_model(oids: list[str]) -> None:
    """`pipeline fresh` resolves a lost model, also for the same images."""
    record(oids[2], oids[1], Path("old"))
    shutil.rmtree(paths.MODEL)
    lose(oids[2])
    cold = _cold_after(oids[2])
    selection.secure(cold)
    assert settle(Path("new"), cold, anything).reason == WANTED
    assert settle(Path("old"), cold, anything).reason == WANTED


def test_a_cold_start_is_for_one_model_alone(oids: list[str]) -> None:
    """A cold start that was requested after another model than the last one is over."""
    record(oids[2], oids[1], Path("old"))
    assert settle(Path("new"), _cold_after(oids[1]), anything).oid == oids[2]


def _cold_after(model: str) -> Params:
    return PARAMS.model_copy(update={"manifest": PARAMS.manifest.model_copy(update={"cold_after": model})})


def test_model_without_a_record(oids: list[str]) -> None:
    """A model that is not in dvc.lock stops the run."""
    assert (paths.MODEL / LINEAGE).exists()
    assert oids
    with pytest.raises(RecordError, match="no record of the model in data/model"):
        settle(Path("new"), PARAMS, anything)


def record_manifest(oid: str) -> None:
    """Write a dvc.lock in which data/base, as output of `manifest`, has the hash `oid`."""
    outs = [{"path": "data/base", "md5": oid}]
    YAML().dump({"schema": "2.0", "stages": {"manifest": {"cmd": "manifest", "outs": outs}}}, paths.LOCK)


def test_base_of_other_bytes_is_put_right(oids: list[str]) -> None:
    """A changed data/base is replaced by the recorded one."""
    record_manifest(oids[1])
    fetching.copy_directory(oids[1], paths.BASE, nearby=paths.MODEL, what="", hint="")
    assert not base.restore()
    (paths.BASE / "checkpoint.ckpt").write_text("flipped")
    assert base.restore()
    assert hashing.directory_hash(paths.BASE) == oids[1]
    shutil.rmtree(paths.BASE)
    assert base.restore()
    assert hashing.directory_hash(paths.BASE) == oids[1]


def test_none_of_other_bytes_is_put_right(oids: list[str]) -> None:
    """A changed record of no base is replaced, which needs no cache."""
    base.write_none(Path("none"), FIRST)
    oid = hashing.directory_hash(Path("none"))
    assert oid is not None
    assert oid not in oids
    record_manifest(oid)
    assert base.restore()
    assert base.reason_for_none(paths.BASE) == FIRST


def test_base_of_other_bytes_that_is_nowhere_is_refused(oids: list[str]) -> None:
    """If the recorded base is not available, it is an error, and data/base does not change."""
    record_manifest(oids[1])
    lose(oids[1])
    paths.BASE.mkdir()
    (paths.BASE / "checkpoint.ckpt").write_text("flipped")
    with pytest.raises(MissingDataError, match=oids[1]):
        base.restore()
    assert (paths.BASE / "checkpoint.ckpt").read_text() == "flipped"


def test_without_a_record_any_base_will_do(oids: list[str]) -> None:
    """A stage run by hand, without a record, uses the existing base."""
    assert oids
    assert not base.restore()
