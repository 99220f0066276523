"""The model card contains what is recorded, shows any class names literally, and its example runs."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401 (what the example needs is here)
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image
from support.drawn import CLASSES, save_drawn, set_params
from support.stored import Plain, store_images

from pipeline import cli, paths
from pipeline.commands.serve.card import CARD, LICENCE, UNKNOWN, card, escaped, write_card
from pipeline.commands.serve.card_facts import CardFacts, gather
from pipeline.commands.serve.quantising import Measured
from pipeline.errors import RecordError
from pipeline.lineage.lineage import RECORDED, Recorded, read_lineage
from pipeline.params import read_params
from pipeline.text import shown
from pipeline.versioning import hashing

ODD = (
    "<script>alert(1)</script>",
    "a|b",
    "`code` *bold* _it_",
    "[link](http:x)",
    "قطة",
    "🐭\u202e",
    "www.example.org",
    "&lt;",
)
METRICS = {
    "accuracy": 0.75,
    "accuracy_low": 0.7,
    "accuracy_high": 0.8,
    "balanced_accuracy": 0.72,
    "macro_f1": 0.71,
    "loss": 0.5,
    "calibration_error": 0.031,
    "support": 1200,
    "classes": {
        "cat": {"precision": 0.9, "recall": 0.25, "f1": 0.4, "support": 4, "base_recall": None},
        "dog": {"precision": 0.6, "recall": 1.0, "f1": 0.7, "support": 3, "base_recall": None},
        "emu": {"precision": None, "recall": None, "f1": None, "support": 0, "base_recall": None},
    },
}


def git(*arguments: str) -> None:
    """Run Git."""
    subprocess.run(["git", *arguments], check=True, capture_output=True)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with a model, without records or history."""
    monkeypatch.chdir(tmp_path)
    set_params()
    save_drawn(paths.MODEL)
    return paths.MODEL


def record(metrics: dict[str, Any] | None, *, oid: str | None = None) -> None:
    """Write what evaluate writes for the model."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    recorded = Recorded(
        model=oid or hashing.directory_hash(paths.MODEL) or "", **read_lineage(paths.MODEL).model_dump()
    )
    RECORDED.write_text(recorded.model_dump_json())
    if metrics is not None:
        paths.METRICS.write_text(json.dumps(metrics))


def facts() -> CardFacts:
    """Return the recorded facts about data/model."""
    return gather(paths.MODEL, read_params())


def tokens(text: str) -> Iterator[Token]:
    """Parse `text` as Markdown into tokens."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def cells(text: str) -> list[list[str]]:
    """Return the rows of all tables as they are rendered."""
    rows: list[list[str]] = []
    inside = False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            inside = True
        elif token.type == "inline" and inside:
            inside = False
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows


def test_figures_of_the_model(model: Path) -> None:
    """The card shows metrics with intervals, the worst classes, and the model's limitations, by metrics.json."""
    record(METRICS)
    for path, lines in ((paths.MANIFEST / "leaks.csv", 'id\n1\n"2\n3"\n'), (paths.IMAGES / "refused.csv", "source\n")):
        path.parent.mkdir(parents=True)
        path.write_text(lines)
    text = card(facts(), "model.onnx")
    rows = cells(text)
    assert ["metric", "on 1,200 test images"] in rows
    assert ["Accuracy", "0.750"] in rows
    assert ["95 % interval of the accuracy", "0.700 to 0.800"] in rows
    assert [row for row in rows if len(row) == 4] == [
        ["class", "recall", "precision", "images"],
        ["cat", "0.250", "0.900", "4"],
        ["dog", "1.000", "0.600", "3"],
    ]
    assert "Expected calibration error of its confidence: 3.1 %." in text
    assert "left out of validation and test images: 2." in text
    assert "could not be used: 0." in text
    assert [row for row in rows if row[0] in CLASSES and len(row) == 2] == [["cat", "2"], ["dog", "0"], ["emu", "0"]]
    assert model.exists()


@pytest.mark.parametrize(
    ("metrics", "oid", "said"),
    [
        (METRICS, "another.dir", "No metrics of this model are recorded."),
        (None, None, "No metrics of this model are recorded."),
        ({"accuracy": None, "support": 0}, None, "There were no test images"),
    ],
)
def test_figures_of_another_model(model: Path, metrics: dict[str, Any] | None, oid: str | None, said: str) -> None:
    """Metrics of another model, or missing metrics, are not shown as this model's."""
    record(metrics, oid=oid)
    text = card(facts(), "model.onnx")
    assert said in text
    assert "accuracy" not in text
    assert model.exists()


def test_how_images_are_framed(model: Path) -> None:
    """The card explains how an image becomes a square, and what part of the square the network sees."""
    text = card(facts(), "model.onnx")
    assert "Its input is images of 8 × 8 pixels in colour.\n" in text
    assert "of more than 256 pixels to that, and then the middle square to 8 × 8 pixels.\n" in text
    otherwise = facts().spec.model_copy(update={"framing": "squash", "crop_pct": 0.5})
    text = card(replace(facts(), spec=otherwise), "model.onnx")
    assert "Its input is images of 16 × 16 pixels in colour,\nof which it uses the middle 8 × 8.\n" in text
    assert "and then all of it to 16 × 16 pixels, width and height separately.\n" in text
    assert model.exists()


def test_report_in_a_merge(model: Path) -> None:
    """A report with conflict markers of a merge is an error, not a missing report."""
    record(METRICS)
    paths.METRICS.write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(RecordError, match="no JSON of what was measured; run `git checkout"):
        facts()
    assert model.exists()


def test_bases_are_told_from_git(model: Path) -> None:
    """The chain of bases comes from Git's history, newest first; without a repository only the base's hash is shown."""
    save_drawn(model, base="older.dir")
    assert "Its base is older.dir." in card(facts(), "model.onnx")
    git("init", "--quiet")
    for oid, base, accuracy in (
        ("oldest.dir", None, 0.5),
        ("other.dir", None, 0.1),
        ("older.dir", "oldest.dir", 0.625),
        ("other.dir", None, 0.1),
        ("older.dir", "oldest.dir", 0.9),  # As in the report, the first record counts.
    ):
        save_drawn(Path("then"), base=base)
        recorded = Recorded(model=oid, **read_lineage(Path("then")).model_dump())
        paths.REPORT.mkdir(parents=True, exist_ok=True)
        RECORDED.write_text(recorded.model_dump_json())
        paths.METRICS.write_text(json.dumps({"accuracy": accuracy}))
        git("add", "--all")
        git("commit", "--quiet", "--message", oid)
    rows = cells(card(facts(), "model.onnx"))
    assert rows[-3:] == [
        ["generation", "model", "images", "accuracy then"],
        ["2", "older.dir", "2", "62.5 %"],
        ["1", "oldest.dir", "2", "50.0 %"],
    ]


def test_odd_classes_are_shown_as_they_are(model: Path) -> None:
    """No class name becomes markup, breaks a table, or changes the text around it."""
    save_drawn(model, classes=ODD)
    text = card(facts(), "`odd`.onnx")
    shown_first = [row[0] for row in cells(text)]
    assert shown_first[1:] == [shown(name) for name in ODD]
    assert not {"html_inline", "html_block", "em_open", "strong_open", "link_open"} & {one.type for one in tokens(text)}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip))
def test_any_name_is_shown_as_it_is(name: str) -> None:
    """Any class name is shown literally in a table cell."""
    (_, row) = cells(f"| class | images |\n|---|---|\n| {escaped(name)} | 1 |")
    assert row == [shown(name).strip(), "1"]


def test_what_integers_change(model: Path) -> None:
    """The card of an 8-bit file shows the accuracy of that file and of the float model."""
    measured = Measured(accuracy=0.75, floats=0.8, agreement=0.9, images=1200, calibrated=512)
    text = card(facts(), "model.int8.onnx", measured=measured)
    assert "calibrated on 512 training images. On 1,200 test images\nits accuracy is 75.0 %, " in text
    assert "the accuracy of the floating-point model 80.0 %; both predict the same class for 90.0 %." in text
    assert "8-bit" not in card(facts(), "model.onnx")
    assert model.exists()


def test_licence_is_the_readers(model: Path, tmp_path: Path) -> None:
    """A licence line that the user filled in is kept when the card is written again."""
    path = write_card(facts(), tmp_path / "model.onnx")
    assert path == tmp_path / CARD
    assert UNKNOWN in path.read_text()
    path.write_text(path.read_text().replace(UNKNOWN, f"{LICENCE}CC BY 4.0, © us"))
    write_card(facts(), tmp_path / "model.onnx")
    assert path.read_text().rstrip().endswith(f"{LICENCE}CC BY 4.0, © us")
    assert not list(tmp_path.glob(".*"))
    assert model.exists()


@pytest.mark.parametrize(("mode", "kind"), [pytest.param("rgb", "pt2", marks=pytest.mark.slow), ("grey", "onnx")])
def test_example_runs(model: Path, mode: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The example in the card, run next to the exported file, gives the predictions of `pipeline predict`."""
    save_drawn(model, mode=mode)
    store_images(test=[Plain("cat", 10), Plain("dog", 200)])
    assert cli.main(["export", "--format", kind]) == 0
    Image.radial_gradient("L").resize((60, 40)).convert("RGB").save("data/export/image.jpg", quality=100)
    (example,) = re.findall(r"```python\n(.*?)```", (paths.DATA / "export" / CARD).read_text(), flags=re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", example], cwd="data/export", check=True, capture_output=True, text=True)
    capsys.readouterr()
    assert cli.main(["predict", "--json", "data/export/image.jpg"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    label, share = ran.stdout.split()
    assert label == told["class"]
    assert float(share) == pytest.approx(told["confidence"], abs=1e-4)
