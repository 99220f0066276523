"""The table of releases contains the current code, so that an upgrade retrains only if weights change."""

from pathlib import Path

import pytest
from conftest import ROOT
from support import release

from pipeline.versioning.definition import read_definition
from pipeline.versioning.weights import VERSIONS, code_hash

HINT = """the code that decides weights has changed, so `pipeline upgrade` does not know which weights it trains.
If tests/scenarios/test_upgrade.py passes, they are the same, bit for bit: put this into pipeline/versioning/weights.py,
in the place of the last line if no user can have that code, else after it:
    "{digest}": {version},
If they are not, raise the version in that line, and say in CHANGELOG.md why every project retrains."""


def test_code_that_decides_weights_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of train's code is in the table, with the newest version."""
    monkeypatch.chdir(ROOT)
    digest, newest = code_hash(read_definition()["train"].deps), max(VERSIONS.values())
    assert VERSIONS.get(digest) == newest, HINT.format(digest=digest, version=newest)


def test_earlier_release_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table contains the oldest supported release."""
    release.unpack(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert VERSIONS[code_hash(read_definition()["train"].deps)] == 1
