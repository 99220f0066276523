"""data/report/report.html, written from a project's files."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from support.reported import lineage, made
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.augment_params import Augment
from pipeline.evaluation.report.page import PAGE, shown_params, write_report
from pipeline.images.dataset import locate, read_manifest
from pipeline.lineage.ancestors import known_ancestors
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import RECORDED, Lineage, Recorded, write_lineage
from pipeline.params import read_params
from pipeline.text import csv_text

PARAMS = read_params(ROOT / "params.yaml")
IMAGES = 24


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with test images, a base of generation 2, and no repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    store_images(test=[Plain("cat" if k % 2 else "dog", 10 * k) for k in range(IMAGES)])
    paths.BASE.mkdir(parents=True)
    write_lineage(
        Lineage.model_validate(lineage(2, base=True).model_dump(include=set(Lineage.model_fields))), paths.BASE
    )


def write(*, base: bool = True, images: int = IMAGES) -> str:
    """Write the report on a model of generation 3, or 1 without a base, and return the page."""
    made_up = made(images=images, base=base)
    facts = made_up.findings
    predictions = facts.predictions.assign(id=read_manifest("test")["id"][:images])
    past = known_ancestors(facts.recorded.base, paths.BASE)
    findings = facts._replace(predictions=predictions, past=past)
    test = read_manifest("test")
    slots = dict(zip(test["id"], locate(test).slots, strict=True))
    write_report(findings, made_up.review, slots, PARAMS)
    return PAGE.read_text(encoding="utf-8")


def data(page: str) -> dict[str, Any]:
    """Return the data that the page's script reads."""
    found: dict[str, Any] = json.loads(page.split('id="json">')[1].split("</script>", maxsplit=1)[0])
    return found


def commit(recorded: Recorded, accuracy: float) -> None:
    """Commit a training."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    RECORDED.write_text(recorded.model_dump_json())
    paths.METRICS.write_text(json.dumps({"accuracy": accuracy}))
    for command in (["add", "--force", str(RECORDED), str(paths.METRICS)], ["commit", "--quiet", "--message", "x"]):
        subprocess.run(["git", *command], check=True)


def test_pictures_are_those_of_the_test_images() -> None:
    """Every image of a small project has a picture."""
    assert {image[0] for image in data(write())["images"]} == set(read_manifest("test")["id"])


def test_refused_files_and_leaks() -> None:
    """Refused files and leaks are shown as ingest and manifest list them."""
    assert "Every file in data/raw can be used" in write()
    refused = [("source", "id", "reason", "detail"), ("a&b.jpg", "", "broken", "cut short"), ("c\rd", "", "empty", "")]
    paths.REFUSED.write_text(csv_text(refused), encoding="utf-8")
    header = "id,label,split,source,like,like_source\n"
    paths.LEAKS.write_text(f"{header}1,cat,test,NA,2,more.zip!/x.png\n", encoding="utf-8")
    page = write()
    for text in ("a&amp;b.jpg", "broken", "cut short", "<bdi>NA</bdi>", "more.zip!/x.png"):
        assert text in page
    assert page.count(' <span class="note">1 file</span>') == 2
    assert "c[U+000D]d" in page


def test_history_without_git() -> None:
    """Without Git the base is shown, too."""
    page = write()
    assert "Generation 2</b>" in page
    assert "The Git history of this clone begins at generation 2" in page


def test_history_from_git() -> None:
    """All known ancestors are shown; committing the model itself, or anything else, changes no byte."""
    subprocess.run(["git", "init", "--quiet"], check=True)
    commit(lineage(1, base=False), 0.125)
    page = write()  # The base, of generation 2, is not committed yet.
    assert "12.5\N{NO-BREAK SPACE}%" in page
    assert "The Git history of this clone begins" not in page
    commit(lineage(2, base=True), 0.25)
    page = write()
    assert "12.5\N{NO-BREAK SPACE}%" in page
    assert "The Git history of this clone begins" not in page
    commit(lineage(3, base=True), 0.5)
    assert write() == page


def test_first_generation() -> None:
    """Without a base there is one generation, and no flips."""
    (paths.BASE / NONE).write_text(FIRST + "\n")
    page = write(base=False)
    assert "There is no base to compare it with" in " ".join(page.split())
    assert "Negative flips" not in page
    assert page.count("Generation 1</b>") == 1


def test_no_test_images() -> None:
    """Without test images the page says so."""
    store_images()
    assert "There are no test images yet" in write(images=0)


def test_params() -> None:
    """All params that affect the model are shown, and no others."""
    shown = shown_params(PARAMS)
    assert shown["train.lr"] == PARAMS.train.lr
    assert isinstance(PARAMS.train.augment, Augment)
    assert shown["train.augment.shift"] == PARAMS.train.augment.shift
    assert not [name for name in shown if name.startswith("compute") or name == "train.save_every"]
