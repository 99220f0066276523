"""`pipeline next` chooses images to label and proposes labels; it overwrites and changes no files."""

import csv
import json
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from support.drawn import CLASSES, save_drawn, set_params
from support.kills import kill_before
from support.kinds import noise

from pipeline import cli, paths
from pipeline.commands.forget.workspace import made_of
from pipeline.commands.next.observing import observe
from pipeline.commands.serve.predicting import answers
from pipeline.evaluation.inference import Trained
from pipeline.files import md5_of_file
from pipeline.git import git
from pipeline.ingestion.scan import find
from pipeline.params import read_params

Capture = pytest.CaptureFixture[str]
COUNT = 12


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a model and a folder of unlabelled images; batches are small."""
    monkeypatch.chdir(tmp_path)
    set_params(compute={"batch_size": 5})
    save_drawn(paths.MODEL)
    for number in range(COUNT):
        save(f"photos/{number:02d}.png", number)
    return tmp_path


def save(name: str, seed: int) -> None:
    """Save an image that differs for each `seed`."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    noise(seed).save(name, "PNG")


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def batch_of(capsys: Capture, *arguments: str) -> Path:
    """Return the folder that `pipeline next` writes."""
    capsys.readouterr()
    assert cli.main(["next", "photos", *arguments]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("chosen ")]
    return Path(line.partition(" into ")[2].partition(";")[0])


def test_a_folder_to_label(capsys: Capture) -> None:
    """The folder contains the files unchanged, the most useful first, and a labels.csv with the model's predictions."""
    folder = batch_of(capsys, "--count", "5", "--csv", "all.csv")
    labels, told = rows(folder / "labels.csv"), rows(Path("all.csv"))
    assert [list(row) for row in labels] == [["path", "label"]] * 5
    assert sorted(path.name for path in folder.iterdir()) == [*(row["path"] for row in labels), "labels.csv"]
    assert [row["path"][:4] for row in labels] == ["0001", "0002", "0003", "0004", "0005"]
    params = read_params()
    trained = Trained.read(paths.MODEL, params.compute)
    spots = [spot for row in told for spot in find(Path(row["source"]))]
    for label, row, answer in zip(labels, told, answers(spots, trained, params, top=2), strict=True):
        assert md5_of_file(folder / label["path"]) == md5_of_file(Path(row["source"])) == row["id"]
        assert isinstance(answer.guesses, list)
        (name, share), (other, less) = answer.guesses
        assert [row[key] for key in ("file", "label", "other_label")] == [label["path"], name, other]
        assert float(row["probability"]) == pytest.approx(share, abs=1e-6)
        assert float(row["other_probability"]) == pytest.approx(less, abs=1e-6)
        assert label["label"] == name


def test_the_same_batch_wherever_images_lie(capsys: Capture) -> None:
    """The batch depends only on the images, the model and the seed; its name depends only on its images."""
    first = batch_of(capsys, "--count", "4")
    chosen = {md5_of_file(path) for path in first.glob("*.png")}
    with zipfile.ZipFile("more.zip", "w") as archive:
        for number in reversed(range(COUNT)):
            archive.write(f"photos/{number:02d}.png", f"deep/{COUNT - number}.png")
    assert cli.main(["next", "more.zip", "--count", "4", "--into", "other"]) == 0
    assert {md5_of_file(path) for path in Path("other").glob("*.png")} == chosen
    assert batch_of(capsys, "--count", "3") != first


def test_nothing_is_overwritten(capsys: Capture) -> None:
    """An existing folder is an error, at once if it was named, so that corrected labels are kept."""
    folder = batch_of(capsys, "--count", "3")
    (folder / "labels.csv").write_text("corrected")
    assert cli.main(["next", "photos", "--count", "3"]) == 1
    assert f"{folder}: exists already, and may hold corrected labels; add it with" in capsys.readouterr().err
    Path("file").write_text("x")
    Path("broken").symlink_to("nowhere")
    for name in ("file", "broken", "photos", str(folder)):
        assert cli.main(["next", "nowhere", "--into", name]) == 1
        assert "exists already" in capsys.readouterr().err
    Path("cats' photos").mkdir()
    assert cli.main(["next", "photos", "--into", "cats' photos"]) == 1
    assert shlex.split(capsys.readouterr().err.split("`")[1]) == ["pipeline", "add", "cats' photos"]
    assert (folder / "labels.csv").read_text() == "corrected"
    assert not list(folder.parent.glob(".next-*"))


def test_a_kill_leaves_nothing_that_git_sees(here: Path, capsys: Capture) -> None:
    """After a kill Git ignores the copies, `pipeline forget` finds them, and the same command writes the batch."""
    assert kill_before("labels.csv", "next", "photos", folder=here)
    (left,) = paths.DATA.glob("*next-*/")
    assert left.suffix == ".part"
    copies = list(left.iterdir())
    assert made_of([md5_of_file(path) for path in copies], []) == sorted(copies)
    shutil.copy(ROOT / "data/.gitignore", paths.DATA)
    git("init", "--quiet")
    assert not git("status", "--porcelain", "--untracked-files=all", "--", str(paths.DATA / "*.png"))
    assert batch_of(capsys) == left.with_suffix("")
    assert not left.exists()


def test_known_images_are_left_out(capsys: Capture) -> None:
    """Known images, copies, and unusable files are left out and counted."""
    assert cli.main(["add", "photos/00.png", "photos/01.png", "--label", "cat"]) == 0
    save("photos/copy.png", 5)
    Path("photos/text.txt").write_text("no image")
    Path("photos/labels.csv").write_text("path,label\n02.png,cat\n")
    capsys.readouterr()
    assert cli.main(["next", "photos", "--into", "batch"]) == 0
    out = capsys.readouterr().out
    assert "chosen 10 of 10 unlabelled images into batch; 2 known already, 1 copy, 1 unusable" in out
    known = {md5_of_file(Path(f"photos/0{number}.png")) for number in range(2)}
    assert not known & {md5_of_file(path) for path in Path("batch").iterdir()}
    assert cli.main(["next", "photos", "--into", "other", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    counts = {"folder": "other", "unlabelled": 10, "known": 2, "copies": 1, "unusable": 1}
    assert told.items() >= counts.items()
    assert [(row["file"], row["label"]) for row in told["chosen"]] == [
        (row["path"], row["label"]) for row in rows(Path("other/labels.csv"))
    ]
    assert cli.main(["next", "photos/00.png"]) == 0
    assert capsys.readouterr().out == "nothing to label: 1 known already, 0 copies, 0 unusable\n"


def test_corrected_labels_are_added(capsys: Capture) -> None:
    """`pipeline add` uses the corrected labels; an image whose line was deleted is not added."""
    folder = batch_of(capsys, "--count", "3")
    first, second, third = rows(folder / "labels.csv")
    (folder / "labels.csv").write_text(f"path;label\n{first['path']};Käfer\n{second['path']};{second['label']}\n")
    assert cli.main(["add", str(folder)]) == 0
    out = capsys.readouterr().out
    assert f"/{third['path']}\n" in out
    (archive,) = paths.RAW.iterdir()
    with zipfile.ZipFile(archive) as file:
        assert sorted(name.partition("/")[0] for name in file.namelist()) == sorted(["Käfer", second["label"]])
    assert cli.main(["next", "photos", "--into", "again"]) == 0
    assert f"chosen {COUNT - 2} of {COUNT - 2} unlabelled images into again; 2 known already" in capsys.readouterr().out


ODD = [
    'a,"b".png',
    "new\nline.png",
    "-rf *.png",
    "img [1].PNG",
    "../..png",
    "فأر 🐭",
    "<script>.png",
    "labels.csv.png",
    "x" * 240 + ".png",
    b"caf\xe9.png".decode(errors="surrogateescape"),
]


def test_odd_names(capsys: Capture) -> None:
    """File names in the batch contain no characters that a system, a glob pattern or HTML would interpret."""
    for number, name in enumerate(ODD):
        save(f"odd/{number}/{name.replace('/', '')}", 100 + number)
    with zipfile.ZipFile("odd/more.zip", "w") as archive:
        archive.write("photos/00.png", "a\\b/..")
    assert cli.main(["next", "odd", "--into", "batch", "--html", "batch.html", "--csv", "batch.csv"]) == 0
    names = [row["path"] for row in rows(Path("batch/labels.csv"))]
    assert len(names) == len(ODD) + 1
    assert all(name.replace("-", "_").replace(".", "_").isidentifier() or name[:4].isdecimal() for name in names)
    assert not [name for name in names if set(name) & set('/\\*?[]<>"\n, ') or len(name) > 80]
    assert cli.main(["check", "batch"]) == 0
    page = Path("batch.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == len(names)
    assert "<script>.png" not in page
    assert capsys.readouterr().err == ""


def test_page_is_in_the_order_of_worth(capsys: Capture) -> None:
    """The page shows images in order of usefulness, with a picture and the two most likely classes."""
    folder = batch_of(capsys, "--count", "6", "--html", "batch.html")
    page = Path("batch.html").read_text(encoding="utf-8")
    places = [page.index(f'title="{row["path"]}"') for row in rows(folder / "labels.csv")]
    assert places == sorted(places)
    assert page.count("data:image/webp") + page.count("data:image/png") == 6
    assert all(name in page for name in {row["label"] for row in rows(folder / "labels.csv")})


def test_mistakes_are_said_in_a_line(capsys: Capture) -> None:
    """A missing model or folder, and a page with a wrong extension, are one-line errors; nothing is written."""
    assert cli.main(["next", "nowhere"]) == 1
    assert capsys.readouterr().err == "pipeline: error: nowhere: no such file or folder; check the path\n"
    assert cli.main(["next", "photos", "--model", "elsewhere"]) == 1
    assert "elsewhere: no model there" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["next", "photos", "--html", "photos.zip"])
    assert "does not end in .html" in capsys.readouterr().err
    capsys.readouterr()
    assert cli.main(["next", "photos", "--into", "photos/00.png/batch"]) == 1
    assert "photos/00.png/batch: cannot be written: Not a directory; choose another" in capsys.readouterr().err
    assert sorted(path.name for path in Path("data").iterdir()) == ["model"]


def test_classes_and_features() -> None:
    """Each image has a row of features and of probabilities for any batch size; pixels are not kept."""
    params = read_params()
    trained = Trained.read(paths.MODEL, params.compute)
    found = observe([Path("photos")], trained, params, set())
    assert found.features.shape == (COUNT, 128)
    assert found.probabilities.shape == (COUNT, len(CLASSES))
    assert found.ids == sorted(found.ids)
    (alone,) = observe([Path(found.spots[3].name)], trained, params, set()).features
    assert alone == pytest.approx(found.features[3], abs=1e-4)
