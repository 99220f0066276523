"""Changes of a project's rules for splits: real Git, real DVC, tiny models."""

import csv
import json
from hashlib import md5
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

SPLITS = ("train", "val", "test")


def add_patients(project: Project, start: int, stop: int) -> None:
    """Add digits `start` to `stop` of ten patients in turn."""
    for path in project.add_digits(start, stop):
        folder = path.parent / f"p{int(path.stem) // 6 % 10}"
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)


def rows(project: Project, name: str) -> list[dict[str, str]]:
    """Return the lines of a list in data/manifest."""
    return list(csv.DictReader(StringIO(project.read(f"data/manifest/{name}.csv"))))


def splits(project: Project) -> dict[str, str]:
    """Return the split of each image, including those left out."""
    listed = {one: split for split in SPLITS for one in project.ids(split)}
    return listed | {row["id"]: row["split"] for row in rows(project, "leaks")}


def status(project: Project) -> dict[str, Any]:
    """Return the output of `pipeline status`."""
    found: dict[str, Any] = json.loads(project.run("python", "-m", "pipeline", "status", "--json").out)
    return found


def line_of(out: str, stage: str) -> str:
    """Return the last line of a stage's output."""
    return [line for line in out.splitlines() if line.startswith(f"{stage}: ")][-1]


@pytest.mark.slow
@pytest.mark.nightly
def test_an_old_project_turns_groups_on(project: Project) -> None:
    """Moved images are predicted and listed, the base is a model that has not seen them, and growth moves none."""
    project.add_digits(0, 60)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    first = project.lock()["train"]["outs"]["data/model"]
    project.commit()
    add_patients(project, 60, 120)
    project.repro()
    project.commit()
    before = splits(project)
    assert rows(project, "moved") == []

    project.set_params(manifest={"split": {"val": 0.1, "test": 0.1, "by": "hash", "group": "folder"}})
    foretold = status(project)
    assert foretold["hindrance"] is None
    assert foretold["start"]["oid"] == first
    out = project.run("python", "-m", "pipeline", "status").out
    said = line_of(project.repro("manifest"), "manifest")
    moved = rows(project, "moved")
    assert moved
    assert (
        f", 10 groups (60 images without one), {len(moved)} moved to another split (data/manifest/moved.csv); " in said
    )
    assert f"{len(moved)} moved to another split" in out
    assert "will be held out, and no model that saw them is a base" in out
    assert f"base {first[:8]}… (newer ones have seen images that they must not)" in said
    now = splits(project)
    assert {row["id"]: (row["before"], row["after"]) for row in moved} == {
        one: (before[one], now[one]) for one in now if before[one] != now[one]
    }
    assert all(Path(row["source"]).parent.name == row["group"] for row in moved)
    again = project.snapshot("data/manifest", "data/base")
    project.repro("--force", "--single-item", "manifest")
    assert project.snapshot("data/manifest", "data/base") == again

    add_patients(project, 120, 130)
    news = status(project)["arrivals"]
    assert (news["found"], news["switched"], news["held_out"]) == (10, 0, [])
    project.repro("manifest")
    assert rows(project, "moved") == []
    assert now.items() <= splits(project).items()
    assert len(splits(project)) == 130


@pytest.mark.nightly
@pytest.mark.slow
def test_splits_of_the_data_and_by_time(project: Project) -> None:
    """Folders can set the split, and copies that disagree are named; by time the newest images are for test."""
    raw = project.root / "data/raw"
    given = {split: project.add_digits(start, start + 12, into=split) for start, split in ((0, "train"), (11, "test"))}
    project.set_params(ingest={"strip": {"train/*": 1, "test/*": 1, "2026*": 1}})
    project.set_params(manifest={"split": {"val": 0.0, "test": 0.1, "by": "folder", "group": None}})
    project.dvc("add", "--quiet", "data/raw")
    out = project.repro("manifest")
    assert "copies of 1 image are in several splits, and the first place by name counts: test/digit" in out
    assert set(project.ids("test")) == {md5(path.read_bytes()).hexdigest() for path in given["test"]}

    project.set_params(manifest={"split": {"val": 0.0, "test": 0.1, "by": "time", "group": None}})
    names = sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*.png"))
    days = [f"{name},{name.split('/')[1]},2026-01-{day:02}\n" for day, name in enumerate(names, start=1)]
    (raw / "labels.csv").write_text("".join(["path,label,date\n", *days]))
    first = line_of(project.repro("manifest"), "manifest")
    assert "moved to another split (data/manifest/moved.csv)" in first
    newest = project.ids("test")
    project.add_digits(30, 34, into="2026-03-01")
    assert ", test from 2026-03-01" in line_of(project.repro("manifest"), "manifest")
    assert not set(newest) & set(project.ids("test"))
    assert {row["id"] for row in rows(project, "moved")} == set(newest)
    assert {(row["before"], row["after"]) for row in rows(project, "moved")} == {("test", "train")}
