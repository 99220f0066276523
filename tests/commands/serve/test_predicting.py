"""`pipeline predict` gives the predictions of evaluate for any image, whatever its name and place."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT, Project
from support.drawn import CLASSES, save_drawn, set_params
from support.kinds import noise, put_kinds
from support.terminal import Terminal

from pipeline import cli, parquet, paths
from pipeline.commands.serve.predicting import answers
from pipeline.commands.serve.preprocessing import recorded_ingest
from pipeline.errors import RecordError
from pipeline.evaluation.inference import Trained, predict
from pipeline.images import index
from pipeline.images.dataset import locate
from pipeline.ingestion.scan import find
from pipeline.models.checkpoint import CHECKPOINT
from pipeline.params import read_params

Capture = pytest.CaptureFixture[str]
EVERY = len(CLASSES)


@pytest.fixture(scope="module", params=["rgb", "grey"])
def ingested(
    request: pytest.FixtureRequest, make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """Make a project with ingested images of every kind, and its model."""
    project = make_project(tmp_path_factory.mktemp(request.param) / "project")
    project.set_params(ingest={"mode": request.param, "size": 24})
    put_kinds(project.root / "data/raw/cat")
    project.add_raw()
    project.repro("ingest")
    save_drawn(project.root / paths.MODEL, mode=request.param)
    # Changed after ingest, so without effect on stored images.
    project.set_params(ingest={"mode": request.param, "size": 8, "animations": "first"})
    return project


def test_it_says_what_evaluate_says(ingested: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any kind of file in data/raw gets bit for bit the probabilities that evaluate computes."""
    monkeypatch.chdir(ingested.root)
    table = parquet.read_table(index.INDEX, index.SCHEMA).to_pandas()
    assert len(table) == len(list(Path("data/raw/cat").iterdir()))
    params = read_params()
    expected = predict(paths.MODEL, locate(table[["id", "label", "md5"]]), params)
    spots = [spot for source in table["source"] for spot in find(paths.RAW / source)]
    told = list(answers(spots, Trained.read(paths.MODEL, params.compute), params, top=EVERY))
    for answer, (_, row) in zip(told, expected.iterrows(), strict=True):
        assert isinstance(answer.guesses, list)
        assert dict(answer.guesses) == row.to_dict()
    assert expected.round(3).drop_duplicates().shape[0] > len(expected) / 2


def test_colours_are_those_of_the_model(ingested: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded params of ingest are used, not those in params.yaml; an invalid record is an error."""
    monkeypatch.chdir(ingested.root)
    params = read_params()
    assert recorded_ingest(params, mode="grey").model_dump() == {
        **params.ingest.model_dump(),
        "mode": "grey",
        "size": 24,
        "animations": "refuse",
    }
    lock = ingested.read("dvc.lock")
    monkeypatch.chdir(ingested.root / "data")
    Path("dvc.lock").write_text(lock.replace("size: 24", "size: many"))
    with pytest.raises(RecordError, match="the parameters of ingest"):
        recorded_ingest(params, mode="grey")
    Path("dvc.lock").unlink()
    assert recorded_ingest(params, mode="rgb").size == 8


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a model and without records; batches are small."""
    monkeypatch.chdir(tmp_path)
    set_params(compute={"batch_size": 2})
    save_drawn(paths.MODEL)
    return tmp_path


def save(name: str, seed: int) -> str:
    """Save an image, and return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    noise(seed).save(name, "PNG")
    return name


def as_json(capsys: Capture, *arguments: str, status: int = 0) -> list[dict[str, object]]:
    """Return the output of `pipeline predict --json`."""
    assert cli.main(["predict", "--json", *arguments]) == status
    read: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return read


def test_order_and_batches(here: Path, capsys: Capture) -> None:
    """Predictions are in the order of the arguments, and equal for any batch size."""
    names = [save(f"{number}.png", number) for number in (3, 1, 4, 0, 2)]
    together = as_json(capsys, *names)
    assert [line["file"] for line in together] == names
    for line, name in zip(together, names, strict=True):
        (alone,) = as_json(capsys, name)
        assert alone["class"] == line["class"]
        assert alone["confidence"] == pytest.approx(line["confidence"], abs=1e-6)
    assert len({line["confidence"] for line in together}) == len(names)
    assert here.exists()


def test_folders_and_archives_are_seen_through(here: Path, capsys: Capture) -> None:
    """Folders, and archives in them, are searched as by `pipeline check`; labels.csv is not an image."""
    for number, name in enumerate(("photos/b/x.png", "photos/a.png")):
        save(name, number)
    (here / "photos/labels.csv").write_text("path,label\n")
    with zipfile.ZipFile("photos/more.zip", "w") as archive:
        archive.write("photos/a.png", "deep/c.png")
        archive.write("photos/a.png", "../d.png")
    lines = as_json(capsys, "photos", status=1)
    assert [line["file"] for line in lines] == ["photos/a.png", "photos/more.zip!/deep/c.png", "photos/b/x.png"]
    assert lines[0]["top"] == lines[1]["top"]


def test_unusable_files_stop_nothing(here: Path, capsys: Capture) -> None:
    """Unusable files are reported on stderr with the reason, and by the exit status; the others are predicted."""
    save("good.png", 0)
    (here / "empty.png").touch()
    (here / "text\x1b[31m\n.jpg").write_text("no image")
    (here / "cut.png").write_bytes((here / "good.png").read_bytes()[:200])
    names = ["empty.png", "good.png", "text\x1b[31m\n.jpg", "cut.png"]
    assert cli.main(["predict", *names]) == 1
    out, err = capsys.readouterr()
    header, line = out.splitlines()
    assert header.split() == ["file", "class", "confidence", "runner-up"]
    assert line.startswith("good.png ")
    first, second, third = err.splitlines()
    assert first == "pipeline: empty.png: empty (0 bytes)"
    assert second.startswith(r"pipeline: text\x1b[31m\n.jpg: not an image")
    assert third.startswith("pipeline: cut.png: ")
    assert as_json(capsys, "empty.png", status=1) == []


ODD = [
    'a,"b".png',
    "new\nline.png",
    "old\rline.png",
    "\x1b[31mred.png",
    "فأر 🐭.png",
    "<script>.png",
    b"caf\xe9.png".decode(errors="surrogateescape"),
]


def test_odd_names(here: Path, capsys: Capture) -> None:
    """Names are unchanged in CSV and JSON, with invalid UTF-8 escaped, and contain no terminal control characters."""
    names = [save(name, number) for number, name in enumerate(ODD)]
    expected = [*ODD[:-1], r"caf\xe9.png"]
    lines = as_json(capsys, *names)
    assert [line["file"] for line in lines] == expected
    assert cli.main(["predict", "--csv", *names]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [row["file"] for row in rows] == expected
    assert [float(row["confidence"]) for row in rows] == [line["confidence"] for line in lines]
    assert cli.main(["predict", *names]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1 + len(names)
    assert all(char.isprintable() for line in out.splitlines() for char in line)
    assert here.exists()


@pytest.mark.parametrize(("top", "told"), [(1, 1), (2, 2), (9, EVERY)])
def test_likeliest_classes(here: Path, capsys: Capture, top: int, told: int) -> None:
    """The K most likely classes are shown in order, or all classes if there are fewer."""
    save("a.png", 0)
    (line,) = as_json(capsys, "a.png", "--top", str(top))
    found = line["top"]
    assert isinstance(found, list)
    shares = [guess["confidence"] for guess in found]
    assert len(shares) == told
    assert shares == sorted(shares, reverse=True)
    assert (line["class"], line["confidence"]) == tuple(found[0].values())
    if told == EVERY:
        assert sum(shares) == pytest.approx(1)
    cli.main(["predict", "a.png", "--csv", "--top", str(top)])
    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert (
        header == ["file", "class", "confidence", "class_2", "confidence_2", "class_3", "confidence_3"][: 1 + 2 * told]
    )
    assert row == ["a.png", *(str(value) for guess in found for value in guess.values())]
    assert here.exists()


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_top_is_a_number(top: str, capsys: Capture) -> None:
    """K below 1 is an error."""
    with pytest.raises(SystemExit):
        cli.main(["predict", "a.png", f"--top={top}"])
    assert "is not a whole number of at least 1" in capsys.readouterr().err


def test_no_model(here: Path, capsys: Capture) -> None:
    """A missing model is a one-line error that suggests to pull it, train it, or name another folder."""
    (paths.MODEL / CHECKPOINT).unlink()
    for command in (["predict", "a.png"], ["export"]):
        assert cli.main(command) == 1
        assert (
            capsys.readouterr().err
            == "pipeline: error: data/model: no model there; run `dvc repro`, which trains one\n"
        )
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  train:\n    cmd: x\n")
    assert cli.main(["predict", "a.png"]) == 1
    assert "run `dvc pull data/model`" in capsys.readouterr().err
    assert cli.main(["predict", "a.png", "--model", "elsewhere"]) == 1
    assert capsys.readouterr().err == "pipeline: error: elsewhere: no model there; check the path\n"
    assert here.exists()


def test_no_such_file(here: Path, capsys: Capture) -> None:
    """A missing path is an error before anything is predicted."""
    assert cli.main(["predict", save("a.png", 0), "b.png"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "pipeline: error: b.png: no such file or folder; check the path\n")
    assert here.exists()


def test_weights_that_are_no_numbers(here: Path, capsys: Capture) -> None:
    """A model with NaN outputs is an error, so that the output stays valid JSON."""
    checkpoint = torch.load(paths.MODEL / CHECKPOINT, weights_only=True)
    checkpoint["state_dict"]["network.body.8.bias"] += float("nan")
    torch.save(checkpoint, paths.MODEL / CHECKPOINT)
    assert cli.main(["predict", save("a.png", 0)]) == 1
    assert "probabilities that are not numbers" in capsys.readouterr().err
    assert here.exists()


def test_who_reads_the_first_line_only(here: Path) -> None:
    """`| head` ends the command silently; neither Lightning nor other training packages are imported."""
    for number in range(9):
        save(f"{number}.png", number)
    script = "import sys; from pipeline.cli import main; s = main(); print(*sys.modules, file=sys.stderr); sys.exit(s)"
    command = [
        sys.executable,
        "-c",
        script,
        "predict",
        "--csv",
        "--top",
        "1",
        *(f"{number}.png" for number in range(9)),
    ]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait() == 1
    assert len(err.splitlines()) == 1
    assert "torch" in err.split()
    assert "lightning" not in err.split()
    process.stderr.close()


def test_progress_bar_and_answers_share_a_terminal(here: Path) -> None:
    """On a terminal, predictions are whole lines in order above the progress bar, which disappears at the end."""
    names = [save(f"{number}.png", number) for number in range(5)]
    with Terminal() as terminal:
        ran = terminal.start(
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipeline.cli import main; main()",
            "predict",
            *names,
            folder=here,
        )
        ran.wait()
        terminal.wait_for("4.png")
        told = [line.split()[0] for line in terminal.lines if ".png" in line]
        assert told == names
