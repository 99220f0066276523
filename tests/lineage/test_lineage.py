"""lineage.json records a model's origin, reproducibly."""

import json
from pathlib import Path

import pytest

from pipeline.errors import CheckpointError
from pipeline.lineage.lineage import LINEAGE, Budget, Epochs, ImageCounts, Lineage, read_lineage, write_lineage

WARM = Lineage(
    generation=3,
    start="warm",
    reason="2 of 10 training images are new, 1 are gone: «étude»",
    base="0123456789abcdef0123456789abcdef.dir",
    images=ImageCounts(total=10, new=2, removed=1, relabelled=0),
    epochs=Epochs(run=0.3, total=18.8),
    steps=Budget(run=30, total=100),
)
COLD = WARM.model_copy(update={"generation": 1, "start": "cold", "base": None})


@pytest.mark.parametrize("lineage", [WARM, COLD], ids=["warm", "cold"])
def test_round_trip(tmp_path: Path, lineage: Lineage) -> None:
    """A lineage is read back as written."""
    write_lineage(lineage, tmp_path)
    assert read_lineage(tmp_path) == lineage


def test_people_can_read_it(tmp_path: Path) -> None:
    """The file is JSON in UTF-8 with a line for each fact, and ends with a line break."""
    write_lineage(WARM, tmp_path)
    text = (tmp_path / LINEAGE).read_text(encoding="utf-8")
    assert json.loads(text)["reason"] == WARM.reason
    assert "«étude»" in text
    assert len(text.splitlines()) > 10
    assert text.endswith("}\n")


def test_same_lineage_gives_the_same_bytes(tmp_path: Path) -> None:
    """Another write has the same bytes."""
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write_lineage(WARM, tmp_path / folder)
    assert (tmp_path / "one" / LINEAGE).read_bytes() == (tmp_path / "other" / LINEAGE).read_bytes()


def test_no_file(tmp_path: Path) -> None:
    """A model without lineage is an error with a command that fixes it."""
    with pytest.raises(CheckpointError, match=r"no lineage.*dvc checkout"):
        read_lineage(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"unknown": 1}, {"generation": None}, {"start": "hot"}, {"images": {"total": 1}}, {"base": 3}, {"steps": None}],
)
def test_other_facts_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """Unknown facts, and values of a wrong type, are one-line errors."""
    (tmp_path / LINEAGE).write_text(json.dumps({**WARM.model_dump(), **change}), encoding="utf-8")
    with pytest.raises(CheckpointError) as raised:
        read_lineage(tmp_path)
    assert len(str(raised.value).splitlines()) == 1


def test_whole_epochs_of_earlier_releases(tmp_path: Path) -> None:
    """Whole epochs of earlier releases are read; fractions have three digits."""
    facts = {**WARM.model_dump(), "epochs": {"run": 1, "total": 19}}
    (tmp_path / LINEAGE).write_text(json.dumps(facts), encoding="utf-8")
    assert read_lineage(tmp_path).epochs == Epochs(run=1, total=19)
    assert Epochs(run=1 / 3, total=2 / 3).model_dump() == {"run": 0.333, "total": 0.667}


LATER = {"merged", "validation", "weights"}


def test_lineage_from_before_some_facts_were_told(tmp_path: Path) -> None:
    """Models without facts that were added later can be read and used as bases."""
    (tmp_path / LINEAGE).write_text(json.dumps(WARM.model_dump(exclude=LATER)), encoding="utf-8")
    assert read_lineage(tmp_path) == WARM


@pytest.mark.parametrize("key", sorted({*Lineage.model_fields} - LATER))
def test_missing_facts_are_refused(tmp_path: Path, key: str) -> None:
    """All other facts are required."""
    (tmp_path / LINEAGE).write_text(json.dumps(WARM.model_dump(exclude={key})), encoding="utf-8")
    with pytest.raises(CheckpointError):
        read_lineage(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    """A file that is no JSON, or other JSON, is an error."""
    (tmp_path / LINEAGE).write_bytes(data)
    with pytest.raises(CheckpointError):
        read_lineage(tmp_path)
