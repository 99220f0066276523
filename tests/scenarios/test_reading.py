"""If packages or params that affect reading change, only the affected images are decoded again."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Project
from support.dicoms import dicom
from support.formats import encoded, gradient
from support.kinds import noise

INDEX = "data/images/index.parquet"


@pytest.fixture
def raw(project: Project) -> Path:
    """Return the empty folder of a class in data/raw."""
    project.set_params(ingest={"max_refused": 1.0, "size": 24})
    folder = project.root / "data/raw/cat"
    folder.mkdir(parents=True)
    return folder


def ingest(project: Project, *, hidden: Path | None = None) -> str:
    """List data/raw as `dvc repro` does, and run ingest as if the packages in `hidden` were not installed."""
    project.dvc("add", "--quiet", "data/raw")
    project.run("python", "-m", "pipeline", "run", "listing")
    return project.run("env", f"PYTHONPATH={hidden or ''}", "python", "-m", "pipeline", "run", "ingest").out


def refused(project: Project) -> dict[str, str]:
    """Return reason and detail for each refused source."""
    with (project.root / "data/images/refused.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: f"{row['reason']}: {row['detail']}" for row in csv.DictReader(file)}


def index(project: Project) -> pa.Table:
    """Return the index of the images."""
    with pq.ParquetFile(project.root / INDEX) as file:
        return file.read()


def replace(project: Project, table: pa.Table) -> None:
    """Replace the index by `table`."""
    pq.write_table(table, project.root / INDEX)


@pytest.mark.slow
def test_package_that_is_installed_later(project: Project, raw: Path, tmp_path: Path) -> None:
    """A phone's photograph is refused with an install command; after it, only this image is decoded."""
    (raw / "phone.heic").write_bytes(encoded(gradient("RGB"), "HEIF"))
    (raw / "a.png").write_bytes(encoded(noise(1), "PNG"))
    (raw / "notes.txt").write_text("no image")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['pillow_heif'] = None\n")
    assert "1 image, 1 new, 0 removed, 2 refused" in ingest(project, hidden=hidden)
    assert "run `pip install pillow-heif`, then `dvc repro --force ingest`" in refused(project)["cat/phone.heic"]
    assert "0 decoded" in ingest(project, hidden=hidden)
    assert "2 images, 1 new, 0 removed, 1 refused (data/images/refused.csv); 1 decoded" in ingest(project)
    assert "0 decoded" in ingest(project)
    # Without the package again, images that it has read stay.
    assert "2 images, 0 new, 0 removed, 1 refused (data/images/refused.csv); 0 decoded" in ingest(
        project, hidden=hidden
    )


@pytest.mark.slow
def test_package_of_another_version(project: Project, raw: Path) -> None:
    """Only files read by another version of a package are read again."""
    (raw / "phone.heic").write_bytes(encoded(gradient("RGB"), "HEIF"))
    (raw / "a.png").write_bytes(encoded(noise(1), "PNG"))
    ingest(project)
    table = index(project)
    at = table.column_names.index("reader")
    older = ["pillow-heif 0.0.1" if name else "" for name in table["reader"].to_pylist()]
    replace(project, table.set_column(at, "reader", pa.array(older)))
    assert "2 images, 0 new, 0 removed, 0 refused; 1 decoded" in ingest(project)
    assert index(project).drop_columns(["shard", "offset"]).equals(table.drop_columns(["shard", "offset"]))


@pytest.mark.slow
def test_format_that_an_earlier_release_did_not_read(project: Project, raw: Path) -> None:
    """A format that an earlier release did not read is tried again, since refused.csv has that release's reason."""
    (raw / "game.tga").write_bytes(encoded(gradient("RGB"), "TGA"))
    (raw / "a.png").write_bytes(encoded(noise(1), "PNG"))
    (raw / "notes.txt").write_text("no image")
    ingest(project)
    table = index(project)
    is_game = [source.endswith("tga") for source in table["source"].to_pylist()]
    (game,) = table.filter(pa.array(is_game))["id"].to_pylist()
    without = table.filter(pa.array([not one for one in is_game])).drop_columns(["reader"])
    replace(project, without.replace_schema_metadata(table.schema.metadata))
    path = project.root / "data/images/refused.csv"
    lines = path.read_text().replace("in no format that is known", "no known format")
    path.write_text(f"{lines}cat/game.tga,{game},unsupported format,TGA; convert it to PNG or JPEG\n")
    assert "2 images, 1 new, 0 removed, 1 refused (data/images/refused.csv); 2 decoded, 1 of them" in ingest(project)
    assert "0 decoded" in ingest(project)


@pytest.mark.slow
def test_other_range(project: Project, raw: Path) -> None:
    """Only images of more than 8 bits are decoded again, in both directions; `status` predicts their number."""
    (raw / "deep.png").write_bytes(encoded(gradient("I;16").point(lambda value: value / 16), "PNG"))
    (raw / "float.tif").write_bytes(encoded(gradient("F"), "TIFF"))
    (raw / "small.png").write_bytes(encoded(noise(1, 20, 16, "L"), "PNG"))
    (raw / "large.png").write_bytes(encoded(noise(2), "PNG"))
    out = ingest(project)
    assert "3 images, 3 new, 0 removed, 1 refused" in out
    assert "warning: 1 image uses less than a tenth of the range of values (cat/deep.png: " in out
    assert "set ingest.range, or save it" in refused(project)["cat/float.tif"]
    before = index(project)
    project.set_params(ingest={"range": "percentile"})
    assert "4 images, 1 new, 0 removed, 0 refused; 2 decoded" in ingest(project)
    project.set_params(ingest={"range": "dtype"})
    assert "3 images, 0 new, 1 removed, 1 refused (data/images/refused.csv); 2 decoded, 1 of them" in ingest(project)
    assert index(project).drop_columns(["shard", "offset"]).equals(before.drop_columns(["shard", "offset"]))


@pytest.mark.slow
def test_other_range_in_an_old_project(project: Project, raw: Path) -> None:
    """An old index does not record bit depths, so every image that was converted is decoded again."""
    (raw / "deep.png").write_bytes(encoded(gradient("I;16"), "PNG"))
    (raw / "small.png").write_bytes(encoded(noise(1, 20, 16, "L"), "PNG"))
    (raw / "large.png").write_bytes(encoded(noise(2), "PNG"))
    ingest(project)
    table = index(project)
    old = table.drop_columns(["reader"])
    replace(project, old)
    assert "0 decoded" in ingest(project)
    assert index(project).equals(old)
    (raw / "new.png").write_bytes(encoded(noise(3), "PNG"))
    assert "1 decoded" in ingest(project)
    assert index(project)["reader"].null_count == len(old)
    project.set_params(ingest={"range": [0, 65_535.5]})
    assert "; 2 decoded" in ingest(project)
    project.set_params(ingest={"range": [0, 65_536]})
    assert "; 1 decoded" in ingest(project)


@pytest.mark.slow
def test_images_of_a_patient_stay_together(project: Project, raw: Path) -> None:
    """With `manifest.split.group: patient` each patient of DICOM files is in one split; other images are single."""
    patients = {}
    for number in range(60):
        grey = np.asarray(noise(number, mode="L")).astype(np.uint16) * 16
        path = raw.with_name("dog" if number % 2 else "cat") / f"{number:02}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(dicom(grey, BitsStored=12, PatientID=f"P{number // 4}"))
        patients[f"{path.parent.name}/{path.name}"] = number // 4
    project.set_params(manifest={"split": {"val": 0.2, "test": 0.3, "by": "hash", "group": "patient"}})
    ingest(project)
    table = index(project)
    assert len(set(table["patient"].to_pylist())) == 15
    assert "P1" not in str(table["patient"].to_pylist())
    out = project.run("python", "-m", "pipeline", "run", "manifest").out
    assert "15 groups" in out
    sources = dict(zip(table["id"].to_pylist(), table["source"].to_pylist(), strict=True))
    sides = {split: {patients[sources[one]] for one in project.ids(split)} for split in ("train", "val", "test")}
    assert all(sides.values())
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["val"]
    assert not sides["val"] & sides["test"]
