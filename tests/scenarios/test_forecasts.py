"""The predictions of `pipeline status` and `check` match what `dvc repro` then does, after any history."""

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project, save_png, stages_run

ALL = ["ingest", "manifest", "train", "evaluate"]
# An action leaves a state that users may leave, too.
Action = Callable[[Project, random.Random], None]


def add(project: Project, draw: random.Random) -> None:
    """Add new images of one class."""
    folder = project.root / f"data/raw/digit {draw.randrange(4)}"
    folder.mkdir(exist_ok=True)
    for _ in range(draw.randint(1, 6)):
        name = draw.getrandbits(40)
        save_png(np.random.default_rng(name).integers(0, 255, (8, 8)), folder / f"new {name:x}.png")


def spoil(project: Project, draw: random.Random) -> None:
    """Add files that are not images."""
    path = project.root / f"data/raw/digit 1/odd {draw.getrandbits(40):x}.png"
    path.write_bytes(draw.choice([b"", b"text", b"\0\0\0\x18ftypheic", b"\x89PNG\r\n\x1a\n" + bytes(40)]))


def copy(project: Project, draw: random.Random) -> None:
    """Add a copy of an image in the same class."""
    path = draw.choice(images(project))
    shutil.copy(path, path.with_name(f"copy {draw.getrandbits(40):x}.png"))


def remove(project: Project, draw: random.Random) -> None:
    """Remove a few images."""
    for path in draw.sample(images(project), 3):
        path.unlink()


def relabel(project: Project, draw: random.Random) -> None:
    """Move an image to another class."""
    path = draw.choice(images(project))
    path.rename(project.root / "data/raw/digit 0" / f"moved {draw.getrandbits(40):x}.png")


def part(project: Project, draw: random.Random) -> None:
    """Run `dvc repro` for the first stages only."""
    project.repro(draw.choice(["ingest", "manifest"]), ok=None)


def tune(project: Project, draw: random.Random) -> None:
    """Change the learning rate, or change it back."""
    project.set_params(train={"lr": draw.choice([1e-3, 2e-3])})


def fresh(project: Project, draw: random.Random) -> None:
    """Request a cold start."""
    del draw
    project.run("python", "-m", "pipeline", "fresh", ok=None)


ACTIONS: list[Action] = [add, add, spoil, copy, remove, relabel, part, tune, fresh]


def images(project: Project) -> list[Path]:
    """Return the images in data/raw, in a fixed order."""
    return sorted(path for path in (project.root / "data/raw").rglob("*.png") if not path.name.startswith("odd"))


def foretold(project: Project) -> dict[str, Any]:
    """Return the prediction of `pipeline status`."""
    found: dict[str, Any] = json.loads(project.run("python", "-m", "pipeline", "status", "--json").out)
    return found


def ids(project: Project) -> set[str]:
    """Return the images of all splits, including those left out."""
    splits = {one for split in ("train", "val", "test") for one in project.ids(split)}
    return splits | set(re.findall(r"[0-9a-f]{32}", project.read("data/manifest/leaks.csv")))


def compare(project: Project) -> None:
    """Run `status` and `dvc repro`, and compare them."""
    said = foretold(project)
    refused_before = project.read("data/images/refused.csv").count("\n")
    out = project.repro(ok=None)
    if said["hindrance"]:
        assert "error:" in out, (said["hindrance"], out)
        return
    assert "error:" not in out, out
    ran = stages_run(out)
    certain = [step["stage"] for step in said["steps"] if step["runs"] == "yes"]
    possible = [step["stage"] for step in said["steps"] if step["runs"] != "no"]
    assert set(certain) <= set(ran) <= set(possible), (said["steps"], out)
    if (news := said["arrivals"]) and not (news["unopened"] or news["looked_at"] < news["found"]):
        match = re.search(r"(\d+) new, (\d+) removed, (\d+) refused", out)
        assert match is not None, out
        new, removed, refused = map(int, match.groups())
        assert (news["new"], news["removed"]) == (new, removed), (news, out)
        assert sum(news["refused"].values()) >= refused - (refused_before - 1), (news, out)
    if "train" in ran and (start := said["start"]) and start["is_known"]:
        words = f"warm start from {start['oid'][:8]}…" if start["oid"] else f"cold start ({start['reason']})"
        assert f"train: {words}" in out, (start, out)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2))
def test_status_says_what_repro_does(project: Project, seed: int) -> None:
    """The prediction is right in any state after additions, removals, partial runs and changed params."""
    draw = random.Random(seed)
    project.add_digits(0, 80)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    for number in range(7):
        for action in draw.sample(ACTIONS, draw.randint(1, 3)):
            action(project, draw)
        compare(project)
        if number % 3 == 2:
            project.commit(f"state {number}")
    assert not stages_run(project.repro())


@pytest.mark.slow
def test_check_says_what_ingest_does(project: Project) -> None:
    """`check` and ingest agree on new, known and refused files, with the same reasons."""
    project.add_digits(0, 60)
    project.dvc("add", "--quiet", "data/raw")
    project.repro("ingest")
    draw = random.Random(0)
    for action in (add, spoil, copy, spoil, add, spoil):
        action(project, draw)
    (project.root / "data/raw/labels.csv").write_text("path,label\ndigit 1/*,digit 0\n")
    before = set(project.read("data/images/refused.csv").splitlines())
    raw = json.loads(project.run("python", "-m", "pipeline", "check", "data/raw", "--json", ok=None).out)
    parts = [
        json.loads(
            project.run("python", "-m", "pipeline", "check", str(path.relative_to(project.root)), "--json", ok=None).out
        )
        for path in sorted((project.root / "data/raw").iterdir())
        if path.is_dir()
    ]
    out = project.repro("ingest")
    new, known = (sum(one[kind] for one in raw["classes"].values()) for kind in ("new", "known"))
    assert f"{new + known} images, {new} new, 0 removed" in out
    assert sum(one["new"] for part in parts for one in part["classes"].values()) == new
    refused = set(project.read("data/images/refused.csv").splitlines()) - before
    for line in refused:
        source, _, reason, _ = line.split(",", 3)
        for told in (raw, *(part for part in parts if any(source in one["source"] for one in part["refused"]))):
            assert any(source in one["source"] and reason == one["reason"] for one in told["refused"]), (line, told)
