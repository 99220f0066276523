"""DVC's note of running commands is read."""

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.versioning.running import running_command


def test_running_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live process counts as running; killed ones, and a partial file, do not."""
    monkeypatch.chdir(tmp_path)
    assert running_command() is None
    Path(".dvc/tmp").mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    alive = f'{{"pid": {os.getpid()}, "cmd": "dvc repro"}}'
    for text, said in (
        (f'{{"write": {{}}, "read": {{"a": [{{"pid": {gone.pid}, "cmd": "dvc"}}, {alive}]}}}}', "dvc repro"),
        (f'{{"write": {{"a": {alive}}}}}', "dvc repro"),
        (f'{{"write": {{"a": {{"pid": {gone.pid}, "cmd": "dvc"}}}}}}', None),
        ('{"write": {"a"', None),
        ('{"write": [1]}', None),
    ):
        Path(".dvc/tmp/rwlock").write_text(text)
        assert running_command() == (said and f"{said} (pid {os.getpid()})")
