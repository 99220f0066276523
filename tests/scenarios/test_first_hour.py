"""README.md and the tutorials, run from top to bottom in a fresh clone, as a new user types them."""

import re
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from support.blocks import CHANGED, PAGES, blocks_of, clone, play, unseen

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
WIDEST = 120
# Replacements: what is set up already is not set up again, and waiting commands are ended by ^C.
INSTEAD = {
    "make ": "make --old-file=.venv/ready ",
    "^(pipeline serve)[^\n]*": r"timeout --foreground --signal INT 20 \1 || test $? = 124",
}
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials"]


def test_readme(tmp_path: Path) -> None:
    """In a folder with a space and an umlaut each block works as described, and leaves no changes in Git."""
    folder = clone(tmp_path / "Zwölf Bilder").root
    # The reader's own images.
    with zipfile.ZipFile(ROOT / "data/sample/2-more.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("Coat/")][:4]
        archive.extractall(folder / "photos", names)
        (folder / "new.zip").write_bytes((ROOT / "data/sample/3-new-classes.zip").read_bytes())
    (folder / ".git/info/exclude").write_text("photos\nnew.zip\n")
    blocks = blocks_of(ROOT / "README.md", after="## Quick start")
    text = ""
    for block, lines in zip(blocks, play(folder, blocks, INSTEAD), strict=True):
        assert max(map(len, lines)) <= WIDEST, max(lines, key=len)
        assert not [line for line in lines if line.startswith(CHANGED)], block.text
        text += "\n".join([*lines, ""])
    assert "train: cold start" in text
    assert "3,000 decoded" in text
    assert "train: warm start from" in text
    assert re.search(r"^data/report/metrics.json +accuracy +[\d.]+ +[\d.]+ +-?[\d.]+", text, flags=re.MULTILINE)
    assert "exported data/export/model.onnx" in text
    assert "^C ends it\npipeline: ended" in text


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial(page: Path, tmp_path: Path) -> None:
    """Each block works as described, and prints lines like those shown; at the end Git is clean."""
    folder = clone(tmp_path / "work/treering").root
    blocks = blocks_of(page)
    seen = play(folder, blocks, INSTEAD)
    assert [unseen(block, lines) for block, lines in zip(blocks, seen, strict=True)] == [[] for _ in blocks], "\n".join(
        line for lines in seen for line in lines
    )
    assert not [line for line in seen[-1] if line.startswith(CHANGED)]
