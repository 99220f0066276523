"""Which data/raw ingest has read, by records of this release and of earlier ones."""

import subprocess
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.files import md5_of_bytes
from pipeline.versioning.lock import StageRecord
from pipeline.versioning.raw.recorded import content_of, is_of, raw_recorded
from pipeline.versioning.repository import repository

OID, OTHER = (f"{digit * 32}.dir" for digit in "01")
OLD = StageRecord(deps={"data/raw": OID, "pipeline/ingest.py": "2" * 32}, outs={})
NEW = StageRecord(deps={"data/raw.hash": md5_of_bytes(content_of(OID).encode())}, outs={})


@pytest.fixture(autouse=True)
def _repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository with a remote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "remote").mkdir()
    paths.DATA.mkdir()
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "remote", "add", "--default", "r", "remote"]):
        subprocess.run(command, check=True)


def test_compared() -> None:
    """Comparing a record with a data/raw needs no object."""
    assert all(is_of(record, OID) and not is_of(record, OTHER) for record in (OLD, NEW))
    assert not is_of(StageRecord(deps={}, outs={}), OID)


@pytest.mark.parametrize("place", ["workspace", "cache", "remote", "nowhere"])
def test_read(place: str) -> None:
    """An older record contains the hash; a newer one names a file that contains it, in any place."""
    assert raw_recorded(OLD) == OID
    paths.RAW_HASH.write_text(content_of(OTHER))
    md5 = NEW.deps["data/raw.hash"]
    cached = Path(repository().cache.local.oid_to_path(md5))
    remote = Path("remote/files/md5") / md5[:2] / md5[2:]
    where = {"workspace": paths.RAW_HASH, "cache": cached, "remote": remote}
    if place in where:
        where[place].parent.mkdir(parents=True, exist_ok=True)
        where[place].write_text(content_of(OID))
    assert raw_recorded(NEW) == (OID if place in ("workspace", "cache") else None)
    assert raw_recorded(NEW, pull=True) == (None if place == "nowhere" else OID)
