"""The content of data/forgotten.csv."""

from pathlib import Path

import pytest

from pipeline.errors import RecordError
from pipeline.lineage.forgotten import IMAGE, MODEL, Forgotten

PLACE = Path("forgotten.csv")
A, B = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_rows() -> None:
    """Rows are sorted and unique, and images and models are distinguished."""
    assert Forgotten.read(PLACE) == Forgotten()
    Forgotten().note([(MODEL, f"{B}.dir"), (IMAGE, A), ("shard", B)], PLACE)
    Forgotten.read(PLACE).note([(IMAGE, A)], PLACE)
    assert PLACE.read_text() == f"what,hash\nimage,{A}\nmodel,{B}.dir\nshard,{B}\n"
    found = Forgotten.read(PLACE)
    assert [set(one) for one in (found.images, found.models, found.hashes)] == [{A}, {f"{B}.dir"}, {A, B, f"{B}.dir"}]


def test_lines_of_both_sides() -> None:
    """Git keeps all lines of a merge, also duplicate headers."""
    PLACE.write_text(f"what,hash\nimage,{A}\nwhat,hash\nimage,{B}\n")
    assert Forgotten.read(PLACE).images == {A, B}


@pytest.mark.parametrize("line", ["image", f"image,{A},x", "image,cat.png", f"<<<<<<< HEAD,{A[:5]}", f"image,{A}.tar"])
def test_what_it_is_not(line: str) -> None:
    """Any other line is an error, so that a possibly forgotten image is never used."""
    PLACE.write_text(f"what,hash\n{line}\n")
    with pytest.raises(RecordError, match="and not what,hash"):
        Forgotten.read(PLACE)
