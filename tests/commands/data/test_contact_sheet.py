"""`pipeline check --html`: a page of new images and of refused files."""

import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from support.kinds import noise

from pipeline import cli
from pipeline.commands.data import contact_sheet
from pipeline.params import read_params

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder of images of two classes, and of files refused for several reasons; one process decodes."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("workers: 0", "workers: 1"), encoding="utf-8")
    assert read_params().compute.workers == 1
    for number in range(20):
        save(f"photos/cat/{number:02d}.png", number)
    save("photos/dog <b>/1.jpg", 99, 120)
    save("photos/loose.png", 100)
    (tmp_path / "photos/cat/cut.jpg").write_bytes((tmp_path / "photos/dog <b>/1.jpg").read_bytes()[:900])
    for number in range(30):
        (tmp_path / f"photos/cat/{number}.txt").write_text("no image")
    with zipfile.ZipFile("photos/more.zip", "w") as archive:
        archive.write("photos/cat/00.png", "cat/copy.png")
        archive.write("photos/dog <b>/1.jpg", "cat/both.jpg")
    return tmp_path


def save(name: str, seed: int, side: int = 30) -> None:
    """Save an image that differs for each `seed`."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    noise(seed, side, side).save(name)


def page_of(capsys: Capture, *arguments: str) -> str:
    """Return the page that `pipeline check` writes."""
    assert cli.main(["check", "photos", "--html", "sheet.html", *arguments]) == 1
    assert capsys.readouterr().out.endswith("pictures: sheet.html\n")
    return Path("sheet.html").read_text(encoding="utf-8")


def test_both_sides_are_shown(here: Path, capsys: Capture) -> None:
    """The page shows new images by class and refused files by reason, with counts, pictures, and what is left out."""
    page = page_of(capsys)
    used, refused = page.split('<section id="used">')[1].split('<section id="refused">')
    assert "<bdi>cat</bdi>" in used
    assert "20 new · 1 copy · 12 shown · shorter side 30 px" in used
    assert used.count("<img") == contact_sheet.OF_CLASS
    assert 'alt="photos/cat/01.png, of class cat"' in used
    for said in ("two labels", "truncated", "no class folder", "not an image", "30 files · in no format that is known"):
        assert said in refused
    assert refused.count("<img") == 4  # Both images with two labels, the truncated one, and the one without a folder.
    assert "… and 18 more; pipeline check --csv FILE lists all." in refused
    assert 'title="photos/more.zip!/cat/both.jpg"' in refused
    assert "dog &lt;b&gt;" in refused
    assert sorted(path.name for path in here.iterdir()) == ["params.yaml", "photos", "sheet.html"]
    assert page_of(capsys) == page


def test_many_classes(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows the largest classes, and counts the others."""
    for number in range(4):
        save(f"photos/class {number}/{number}.png", 200 + number)
    monkeypatch.setattr(contact_sheet, "MOST_CLASSES", 2)
    page = page_of(capsys)
    assert "3 smaller classes are left out" in page
    assert "1 new · shorter side 30 px · fewer than 10 images" in page
    assert "class 3" not in page


def test_nothing_comes_in(capsys: Capture) -> None:
    """A page without new images says so; it lists no refused files if there are none."""
    assert cli.main(["check", "photos/cat/00.png", "--label", "cat", "--html", "sheet.html", "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")
    assert "Nothing is refused." in Path("sheet.html").read_text(encoding="utf-8")
    assert cli.main(["check", "photos/cat/0.txt", "--html", "sheet.html"]) == 1
    assert "No image comes in." in Path("sheet.html").read_text(encoding="utf-8")
