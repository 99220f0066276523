"""Reading dvc.lock; an unreadable file is never treated as an empty one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RecordError
from pipeline.versioning.lock import StageRecord, parse_record, read_record, read_yaml

LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: python -m pipeline run train
    deps:
    - path: data/base
      hash: md5
      md5: 11111111111111111111111111111111.dir
      size: 12
      nfiles: 1
    - path: pipeline/train.py
      hash: md5
      md5: '22222222222222222222222222222222'
      size: 12
    params:
      params.yaml:
        train.lr: 1e-3
    outs:
    - path: data/model
      hash: md5
      md5: 33333333333333333333333333333333.dir
      size: 12
      nfiles: 3
  nothing:
    cmd: echo
"""
CONFLICT = LOCK.replace(
    "      md5: 333", "<<<<<<< HEAD\n      md5: 444\n=======\n      md5: 555\n>>>>>>> other\n      md5: 333"
)


def lock(folder: Path, text: str) -> Path:
    """Write a dvc.lock with this text."""
    path = folder / "dvc.lock"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_what_changes_is_read_again(tmp_path: Path) -> None:
    """A changed file is read again, even with the same size and time; callers cannot change the cached result."""
    path = lock(tmp_path, LOCK)
    read_yaml(path)["stages"].clear()
    assert set(read_record(path)) == {"train", "nothing"}
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    os.utime(lock(tmp_path, LOCK.replace("nothing", "another")), ns=times)
    assert set(read_record(path)) == {"train", "another"}


def test_hashes_by_stage_and_path(tmp_path: Path) -> None:
    """Dependencies and outputs of each stage are found by path, and its params by name."""
    assert read_record(lock(tmp_path, LOCK)) == {
        "train": StageRecord(
            deps={"data/base": "1" * 32 + ".dir", "pipeline/train.py": "2" * 32},
            outs={"data/model": "3" * 32 + ".dir"},
            params={"train.lr": 1e-3},
            command="python -m pipeline run train",
        ),
        "nothing": StageRecord(deps={}, outs={}, command="echo"),
    }


def test_no_file_is_no_record(tmp_path: Path) -> None:
    """Without a dvc.lock nothing is recorded."""
    assert read_record(tmp_path / "dvc.lock") == {}


def test_no_stages_is_no_record(tmp_path: Path) -> None:
    """A lock file without stages records nothing."""
    assert read_record(lock(tmp_path, "schema: '2.0'\nstages: {}\n")) == {}


def test_outputs_without_a_hash_are_left_out(tmp_path: Path) -> None:
    """Outputs without an MD5, such as files in a bucket, are left out."""
    text = LOCK.replace("      md5: 33333333333333333333333333333333.dir\n", "      etag: x\n")
    assert read_record(lock(tmp_path, text))["train"].outs == {}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CONFLICT, id="conflict"),
        pytest.param("", id="empty"),
        pytest.param("{", id="unfinished"),
        pytest.param("- a\n- b\n", id="list"),
        pytest.param("stages", id="word"),
        pytest.param("schema: '2.0'\n", id="no stages"),
        pytest.param("stages:\n", id="null stages"),
        pytest.param("stages: [train]\n", id="list of stages"),
        pytest.param("stages:\n  train:\n", id="null stage"),
        pytest.param("stages:\n  train: x\n", id="stage is a word"),
        pytest.param("stages:\n  train:\n    outs: 3\n", id="outs are a number"),
        pytest.param("stages:\n  train:\n    outs:\n", id="null outs"),
        pytest.param("stages:\n  train:\n    outs:\n    - md5: x\n", id="out without path"),
        pytest.param("stages:\n  train:\n    outs:\n    - [md5]\n", id="out is a list"),
        pytest.param("\udcff\udcfe", id="no text"),
        pytest.param(LOCK + "stages: {}\n", id="stages twice"),
        pytest.param("stages: 2001-99-99\n", id="impossible date"),
        pytest.param("stages:\n  train:\n    outs:\n    - path: data/model\n      md5: 12\n", id="hash is a number"),
        pytest.param("stages:\n  train:\n    outs:\n    - path: data/model\n      md5:\n", id="null hash"),
    ],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    """A lock file with conflict markers, or of another form, is a one-line error with a command that fixes it."""
    path = lock(tmp_path, text)
    with pytest.raises(RecordError) as raised:
        read_record(path)
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.startswith(f"{path}: ")
    assert f"git checkout {tmp_path / 'dvc.lock'}" in said


# Writes a longer dvc.lock as DVC does, and kills itself when it comes to the stage `last`.
DYING_DVC = """
import copy, os, sys
from dvc.utils.serialize import dump_yaml, load_yaml
from ruamel.yaml.emitter import Emitter
process_scalar = Emitter.process_scalar
def dying(emitter):
    if emitter.event.value == "last":
        os.kill(os.getpid(), 9)
    process_scalar(emitter)
Emitter.process_scalar = dying
content = load_yaml(sys.argv[1])
names = [*(f"stage {number}" for number in range(40)), "last"]
content["stages"] = {name: copy.deepcopy(content["stages"]["train"]) for name in names}
dump_yaml(sys.argv[1], content)
"""


def test_a_kill_while_dvc_writes_is_an_error(tmp_path: Path) -> None:
    """A kill while DVC writes leaves valid YAML that lacks stages. It is an error, not a record without a training."""
    path = lock(tmp_path, LOCK)
    ran = subprocess.run([sys.executable, "-c", DYING_DVC, str(path)], check=False)
    assert ran.returncode == -9
    assert "stage 20:" in path.read_text()
    with pytest.raises(RecordError, match="incomplete, since DVC was stopped"):
        read_record(path)


def test_an_incomplete_line_is_an_error(tmp_path: Path) -> None:
    """A lock file that ends within a line is an error, wherever it ends."""
    for end in (end for end in range(len(LOCK)) if LOCK[end - 1] != "\n" or not end):
        with pytest.raises(RecordError, match="incomplete"):
            read_record(lock(tmp_path, LOCK[:end]))


@given(st.integers(0, len(LOCK)), st.integers(0, 30), st.text(max_size=8))
def test_any_damage_is_an_error_or_none(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, typed: str
) -> None:
    """Any damage is read, or raises `RecordError`."""
    path = lock(tmp_path_factory.getbasetemp(), LOCK[:start] + typed + LOCK[start + length :])
    try:
        record = read_record(path)
    except RecordError:
        return
    for stage in record.values():
        assert all(isinstance(text, str) for pair in (stage.deps | stage.outs).items() for text in pair)


@pytest.mark.parametrize("text", [LOCK, CONFLICT, "", "- a\n", "stages: [train]\n", "\udcff"])
def test_content_is_read_as_a_file_is(tmp_path: Path, text: str) -> None:
    """Content from Git is read or refused like a file."""
    path = lock(tmp_path, text)
    try:
        expected = read_record(path)
    except RecordError:
        with pytest.raises(RecordError, match=r"see `git show abc:dvc\.lock`"):
            parse_record(path.read_bytes(), "abc:dvc.lock")
    else:
        assert parse_record(path.read_bytes(), "abc:dvc.lock") == expected
