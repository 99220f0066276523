"""Unfinished training: the newest intact state is found, and never that of another training."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.params import Params, read_params
from pipeline.training.progress import FOLDER, Progress, inputs_hash

PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty working directory."""
    monkeypatch.chdir(tmp_path)


def save(progress: Progress, *steps: int) -> None:
    """Save a state at each of `steps`, containing the step."""
    for step in steps:
        progress.save(step, lambda path, step=step: path.write_bytes(f"state {step}".encode() * 100))  # type: ignore[misc]


def test_newest_is_found() -> None:
    """The newest state is found by its step, by this process and the next."""
    progress = Progress("a")
    assert progress.newest() is None
    save(progress, 9, 10, 100)
    for one in (progress, Progress("a")):
        newest = one.newest()
        assert newest is not None
        assert newest.read_bytes().startswith(b"state 100")
        assert one.step_of(newest) == 100


def test_few_are_kept() -> None:
    """The newest two states are kept."""
    progress = Progress("a")
    save(progress, *range(5))
    assert sorted(progress.step_of(path) for path in progress.folder.iterdir()) == [3, 4]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_damaged_state_is_passed_over(damage: str) -> None:
    """A state with a single changed bit is skipped; the previous one is used, or none."""
    progress = Progress("a")
    save(progress, 1, 2)
    for step in (2, 1):
        newest = progress.newest()
        assert newest is not None
        assert progress.step_of(newest) == step
        data = newest.read_bytes()
        flipped = bytes([data[0] ^ 1]) + data[1:]
        newest.write_bytes({"flip": flipped, "cut": data[:-1], "empty": b"", "longer": data + b"x"}[damage])
    assert progress.newest() is None


def test_half_written_state_is_none() -> None:
    """A failed write keeps the previous states."""
    progress = Progress("a")
    save(progress, 1)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        progress.save(2, fail)
    newest = Progress("a").newest()
    assert newest is not None
    assert progress.step_of(newest) == 1


def test_other_inputs_progress_is_removed() -> None:
    """Progress of other inputs is removed, and never resumed."""
    save(Progress("a"), 1)
    (FOLDER / "stray").touch()
    assert Progress("b").newest() is None
    assert [path.name for path in FOLDER.iterdir()] == ["b"]
    assert Progress("a").newest() is None


def changed(section: str, **values: object) -> Params:
    """Return the params with changes to a section."""
    return PARAMS.model_copy(update={section: getattr(PARAMS, section).model_copy(update=values)})


def test_hash_of_inputs() -> None:
    """The hash depends on every input, and on nothing else."""
    Path("file").write_text("one")
    Path("folder").mkdir()
    Path("folder/file").write_text("two")
    deps = ["file", "folder"]
    before = inputs_hash(PARAMS, deps)
    assert inputs_hash(PARAMS, deps) == before
    assert inputs_hash(changed("train", save_every=1.0), deps) == before
    assert inputs_hash(changed("compute", workers=7), deps) == before
    hashes = {before, inputs_hash(changed("train", lr=0.5), deps), inputs_hash(changed("ingest", mode="grey"), deps)}
    Path("folder/file").write_text("three")
    hashes.add(inputs_hash(PARAMS, deps))
    Path("file").write_text("four")
    hashes.add(inputs_hash(PARAMS, deps))
    Path("file").unlink()
    hashes.add(inputs_hash(PARAMS, deps))
    assert len(hashes) == 6


def test_caches_of_python_are_no_input(tmp_path: Path) -> None:
    """A code folder has the same hash before and after Python caches it; other code has another one."""
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    code = tmp_path / "pipeline/training"
    code.mkdir(parents=True)
    (code / "a.py").write_text("x = 1\n")
    before = inputs_hash(PARAMS, ["pipeline/training"])
    (code / "__pycache__").mkdir()
    (code / "__pycache__/a.pyc").write_bytes(b"compiled")
    assert inputs_hash(PARAMS, ["pipeline/training"]) == before
    (code / "a.py").write_text("x = 2\n")
    assert inputs_hash(PARAMS, ["pipeline/training"]) != before
