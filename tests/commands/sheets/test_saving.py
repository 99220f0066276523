"""Saving files that users ask a command for."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from pipeline.commands.sheets.saving import page, save
from pipeline.errors import ImagesError


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    """An existing file is replaced; a failed write leaves nothing behind, and is a one-line error."""
    save(tmp_path / "a.html", "é\r\n\udcff")
    assert (tmp_path / "a.html").read_bytes() == "é\r\n\\udcff".encode()
    save(tmp_path / "a.html", "new")
    (tmp_path / "folder.html").mkdir()
    for path in (tmp_path / "gone/a.html", tmp_path / "folder.html"):
        with pytest.raises(ImagesError, match=f"{path.name}: cannot be written: .*; choose another file"):
            save(path, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "folder.html"]
    assert (tmp_path / "a.html").read_text() == "new"


def test_names_of_pages() -> None:
    """A page needs an HTML extension, so that no other file is overwritten by mistake."""
    assert page("out/Sheet.HTML") == Path("out/Sheet.HTML")
    for text in ("photos.zip", "labels.csv", "html", ""):
        with pytest.raises(ArgumentTypeError, match=r"does not end in \.html"):
            page(text)
