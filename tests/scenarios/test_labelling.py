"""Labels from labels.csv in any dialect, and from archives: real DVC and Git."""

import zipfile
from pathlib import Path

import pytest
from conftest import Project

from pipeline.files import md5_of_bytes

pytestmark = pytest.mark.slow


def loose(project: Project, count: int) -> list[Path]:
    """Put images without class folders into data/raw/photos."""
    folder = project.root / "data/raw/photos"
    folder.mkdir(parents=True)
    return [path.rename(folder / path.name) for path in project.add_digits(0, count)]


def test_labels_as_they_come(project: Project) -> None:
    """A labels.csv in another dialect or place gives the same manifests."""
    images = loose(project, 30)
    names = {path.name: f"class {number % 2}" for number, path in enumerate(images)}
    table = "".join(f"photos/{name},{label}\n" for name, label in names.items())
    labels = project.root / "data/raw/labels.csv"
    labels.write_text(f"path,label\n{table}")
    project.dvc("add", "--quiet", "data/raw")
    assert "30 images, 30 new" in project.repro("manifest")
    before = project.snapshot("data/manifest")

    labels.write_bytes(f"Path;Label\r\n{table}".replace(",", ";").replace("/", "\\").encode("utf-16"))
    assert "30 images, 0 new, 0 removed, 0 refused; 0 decoded" in project.repro("manifest")
    assert project.snapshot("data/manifest") == before
    labels.unlink()
    table = "".join(f'{{"file_name": "{name}", "class": "{label}"}}\n' for name, label in names.items())
    (project.root / "data/raw/photos/metadata.jsonl").write_text(table)
    project.set_params(ingest={"columns": {"path": "file_name", "label": "class"}})
    assert "30 images, 0 new, 0 removed, 0 refused; 0 decoded" in project.repro("manifest")
    assert project.snapshot("data/manifest") == before


def test_labels_that_are_wrong(project: Project) -> None:
    """Contradictory labels are refused and listed; labels without a match are reported first, with a suggestion."""
    images = loose(project, 20)
    labels = project.root / "data/raw/labels.csv"
    labels.write_text("".join(["path,label\n", *(f"photo/{path.name},x\n" for path in images)]))
    checked = project.run("python", "-m", "pipeline", "check", "data/raw").out
    nearest = f"it names 'photo/{images[0].name}', and the nearest image is '"
    assert f"{nearest}data/raw/photos/{images[0].name}'" in checked
    for path in images:
        path.rename(path.parents[1] / path.name)
    project.dvc("add", "--quiet", "data/raw")
    assert (
        f"ingest: error: data/raw: no line of labels.csv matches an image: {nearest}{images[0].name}'; 20 of 20 images "
        "are refused, 20 as 'no class folder'"
    ) in project.repro("ingest", ok=False)
    for path in images:
        (path.parents[1] / path.name).rename(path)

    rows = "".join(f"photos/{path.name},x\n" for path in images)
    labels.write_text(f"path,label\n{rows}./photos/{images[0].name},y\n")
    out = project.repro("ingest")
    assert "19 images, 19 new, 0 removed, 1 refused" in out
    assert f"labels.csv: lines 2 and 22 give photos/{images[0].name} different labels, x and y" in out
    refused = project.read("data/images/refused.csv").splitlines()[1]
    assert f",{md5_of_bytes(images[0].read_bytes())},two labels," in refused

    labels.write_text(f"path,label\n{rows}")
    assert "20 images, 1 new, 0 removed, 0 refused" in project.repro("ingest")


def test_archives_as_they_come(project: Project) -> None:
    """Labels in an archive, backslashes, and names in a code page give the right classes; later ones relabel."""
    images = loose(project, 30)
    data = [path.read_bytes() for path in images]
    for path in images:
        path.unlink()
    raw = project.root / "data/raw"
    with zipfile.ZipFile(raw / "own.zip", "w") as archive:
        archive.writestr("labels.csv", "path,label\n*,own\n")
        for number in range(10):
            archive.writestr(f"{number}.png", data[number])
    with zipfile.ZipFile(raw / "windows.zip", "w") as archive:
        for number in range(10, 20):
            archive.writestr(f"win\\{number}.png", data[number])
    with zipfile.ZipFile(raw / "old.zip", "w") as archive:
        for number in range(20, 30):
            archive.writestr(f"kxtze/{number}.png", data[number])
    (raw / "old.zip").write_bytes((raw / "old.zip").read_bytes().replace(b"kxtze", "k\u00e4tze".encode("cp1252")))
    project.dvc("add", "--quiet", "data/raw")
    out = project.repro("manifest")
    assert "30 images, 30 new, 0 removed, 0 refused" in out
    assert "the name of class 'kΣtze' is in an encoding that the zip does not name" in out
    assert "set ingest.encoding in params.yaml" in out
    project.commit("garbled")
    project.set_params(ingest={"encoding": "cp1252"})
    out = project.repro("manifest")
    assert "30 images, 0 new, 0 removed, 0 refused; 0 decoded" in out
    manifests = "".join(project.read(f"data/manifest/{split}.csv") for split in ("train", "val", "test"))
    assert {line.split(",")[1] for line in manifests.splitlines()} == {"label", "own", "win", "k\u00e4tze"}
