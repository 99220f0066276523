"""The record of training is updated without data, and decoded images are kept."""

import hashlib
import inspect

import PIL
import pytest
from conftest import Project
from dvc.repo import Repo
from support import release

from pipeline import paths
from pipeline.commands.upgrade.settlement import keep_decoded, settle
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes
from pipeline.images import pixels
from pipeline.params import read_params
from pipeline.versioning.definition import code_among, read_definition
from pipeline.versioning.lock import read_record
from pipeline.versioning.weights import NEUTRAL, NEUTRAL_PARAMS


@pytest.fixture
def recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a project without data; its dvc.lock is that of a release with other code."""
    release.write_lock_of_other_code(project.root)
    monkeypatch.chdir(project.root)
    return project


def test_settled_record(recorded: Project) -> None:
    """Code and command of train are updated in dvc.lock; its data, params and model, and other stages, stay."""
    before, now = read_record(), read_definition()["train"]
    settle("train")
    after = read_record()
    train = after.pop("train")
    old = before.pop("train")
    assert after == before
    assert (train.outs, train.command) == (old.outs, now.command)
    assert train.params == {**NEUTRAL_PARAMS, **old.params}
    kept = {path: oid for path, oid in old.deps.items() if path in now.deps}
    neutral = {path: md5_of_bytes(content.encode()) for path, content in NEUTRAL.items() if path in now.deps}
    assert train.deps == {**neutral, **kept, **code_among(now.deps)}
    said = recorded.dvc("status", "train").out
    assert "data/base" in said
    assert "pipeline/" not in said
    assert "command" not in said


def test_the_record_is_written_as_dvc_writes_it(recorded: Project) -> None:
    """DVC would write the same bytes."""
    settle("train")
    lock = recorded.root / "dvc.lock"
    written = lock.read_bytes()
    Repo().stage.load_one(name="train").dump(update_pipeline=False)
    assert lock.read_bytes() == written


def test_params_that_are_new(recorded: Project) -> None:
    """A new param is recorded with the value that acts as before; if params.yaml sets another value, training runs."""
    release.forget_params(recorded.root, NEUTRAL_PARAMS)
    before = read_record()["train"].params
    assert before.keys().isdisjoint(NEUTRAL_PARAMS)
    recorded.set_params(train={"framing": "squash"})
    settle("train")
    assert read_record()["train"].params == {**before, **NEUTRAL_PARAMS}
    said = recorded.dvc("status", "train").out
    assert "train.framing" in said
    assert "train.crop_pct" not in said


def test_changed_params_still_count(recorded: Project) -> None:
    """A param that changed since the recorded run causes a training."""
    recorded.set_params(train={"lr": 0.125})
    settle("train")
    assert read_record()["train"].params["train.lr"] != 0.125
    assert "train.lr" in recorded.dvc("status", "train").out


def test_settling_waits_for_nobody(recorded: Project) -> None:
    """While another DVC command runs, the record is not changed, and a message says so."""
    before = paths.LOCK.read_bytes()
    with Repo(str(recorded.root)) as other, other.lock, pytest.raises(RecordError, match="another DVC command"):
        settle("train")
    assert paths.LOCK.read_bytes() == before


@pytest.mark.usefixtures("recorded")
def test_decoded_images_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded images named by the earlier release, by source text, are renamed once to the current names."""
    params = read_params()
    reader = pixels.PixelReader(params.ingest.mode, params.train.size)
    text = f"{reader.mode} {reader.size} {PIL.__version__} {inspect.getsource(pixels.to_pixels)}"
    old = hashlib.md5(text.encode()).hexdigest()
    paths.DECODED.mkdir(parents=True)
    for kind in ("pixels", "rows"):
        (paths.DECODED / f"{old}.{kind}").write_text(kind)
    monkeypatch.setattr(pixels, "VERSION", 2)
    assert not keep_decoded(params)
    monkeypatch.setattr(pixels, "VERSION", 1)
    assert keep_decoded(params)
    assert {path.name: path.read_text() for path in paths.DECODED.iterdir()} == {
        f"{reader.recipe}.{kind}": kind for kind in ("pixels", "rows")
    }
    assert not keep_decoded(params)


def test_source_text_is_that_of_the_earlier_release() -> None:
    """The names come from the current source text. Once it changes, this test and `keep_decoded` can be removed."""
    assert inspect.getsource(pixels.to_pixels) in release.files()["pipeline/reading.py"].decode()
