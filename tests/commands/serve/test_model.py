"""`from pipeline import load_model, predict` gives the predictions of `pipeline predict` in Python."""

import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import ExifTags, Image
from support.drawn import CLASSES, save_drawn, set_params
from support.kinds import noise, put_kinds

import pipeline
from pipeline import cli, load_model, paths, predict
from pipeline.errors import CheckpointError, ImagesError, MissingDataError, RecordError
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import CHECKPOINT
from pipeline.versioning import hashing

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with a model and without records; batches of two images."""
    monkeypatch.chdir(tmp_path)
    set_params(compute={"batch_size": 2})
    (tmp_path / paths.PIPELINE).write_text("stages: {}\n")
    save_drawn(paths.MODEL)
    return tmp_path


def test_importing_costs_nothing() -> None:
    """`import pipeline` loads neither PyTorch nor other modules of the package, but knows the public names."""
    code = "import sys, pipeline; print(dir(pipeline)); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    names, modules = ran.stdout.splitlines()
    assert all(repr(name) in names for name in pipeline.__all__)
    assert not {"torch", "numpy", "dvc"} & set(modules.split())
    assert not [name for name in modules.split() if name.startswith("pipeline.")]
    assert not hasattr(pipeline, "no_such_name")


def test_it_says_what_the_command_says(here: Path, capsys: Capture) -> None:
    """Names, classes and probabilities of files, folders and archives equal those of the command bit for bit."""
    put_kinds(here / "photos")
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.write(min((here / "photos").iterdir()), "deep/c.png")
    assert cli.main(["predict", "--json", "--top", "9", "photos", "more.zip"]) == 0
    wanted = json.loads(capsys.readouterr().out)
    told = load_model().predict(["photos", Path("more.zip")])
    assert [one.file for one in told] == [one["file"] for one in wanted]
    for one, other in zip(told, wanted, strict=True):
        assert one.probabilities == {guess["class"]: guess["confidence"] for guess in other["top"]}
        assert (one.label, one.probability) == (other["class"], other["confidence"])
        assert one.top(9) == list(one.probabilities.items())
        assert set(one.probabilities) == set(CLASSES)
    assert len({one.probability for one in told}) > len(told) / 2
    assert [one.file for one in predict("more.zip")] == ["more.zip!/deep/c.png"]


def test_images_in_memory(here: Path) -> None:
    """A Pillow image of any mode, and the bytes of a file, get the same prediction as the file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    images = {mode: noise(3).convert(mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK")}
    images["I;16"] = Image.fromarray(np.asarray(images["L"]).astype(np.uint16) * 257)
    files = [Path(f"{number}.{'tiff' if mode == 'CMYK' else 'png'}") for number, mode in enumerate(images)]
    for image, file in zip(images.values(), files, strict=True):
        image.save(file, exif=exif)
    model = load_model()
    told = model.predict(files)
    # If opened from a file rather than bytes, Pillow 13 does not rotate a CMYK TIFF upright.
    opened = model.predict([Image.open(BytesIO(file.read_bytes())) for file in files])
    raw = model.predict([file.read_bytes() for file in files])
    assert [one.probabilities for one in opened] == [one.probabilities for one in told]
    assert [one.probabilities for one in raw] == [one.probabilities for one in told]
    assert [one.file for one in opened] == [f"[{number}]" for number in range(len(files))]
    for before, upright in zip(told, model.predict(list(images.values())), strict=True):
        assert upright.probabilities != pytest.approx(before.probabilities, abs=1e-6)
    assert here.exists()


def test_arrays(here: Path) -> None:
    """An array gets the prediction of its Pillow image; an unsupported array is an error with a hint."""
    model, colours = load_model(), np.asarray(noise(1).convert("RGB"))
    assert model.predict(colours)[0].probabilities == model.predict(Image.fromarray(colours))[0].probabilities
    deep = colours[..., 0].astype(np.uint16) * 256
    assert model.predict([deep, colours])[0].label in CLASSES
    for wrong in (colours / 255, colours[None], colours.transpose(2, 0, 1), np.empty((0, 4), np.uint8)):
        with pytest.raises(ImagesError, match=r"\[0\]: an array of .* is no image; pass uint8 of shape"):
            model.predict(wrong)
    with pytest.raises(ImagesError, match=r"\[1\]: int is no image; pass a path"):
        model.predict([colours, 3])  # type: ignore[list-item]
    assert model.predict([]) == []
    assert here.exists()


def test_what_cannot_be_used(here: Path) -> None:
    """An unusable image is an error that names it; with `keep_refused` its prediction states the reason instead."""
    noise(0).save("a.png")
    cut = (here / "a.png").read_bytes()[:200]
    (here / "b.png").touch()
    model = load_model()
    with pytest.raises(ImagesError, match=r"^b.png: empty \(0 bytes\); leave it out"):
        model.predict(["a.png", "b.png"])
    good, bad, worse = model.predict(["a.png", "b.png", cut], keep_refused=True)
    assert good.label in CLASSES
    assert bad.refusal == "empty (0 bytes)"
    assert bad.probabilities == worse.probabilities == {}
    with pytest.raises(ImagesError, match=r"\[2\]: (truncated|broken) \("):
        _ = worse.label
    with pytest.raises(ImagesError, match="no such file or folder"):
        model.predict("none.png", keep_refused=True)


def test_what_a_model_says_of_itself(here: Path) -> None:
    """A model has its classes, hash and lineage."""
    model = load_model()
    assert model.classes == CLASSES
    assert model.hash == hashing.directory_hash(paths.MODEL)
    assert model.lineage == read_lineage(paths.MODEL)
    assert repr(model) == f"<Model {model.hash}, generation 1, 3 classes>"
    assert here.exists()


def test_project_is_found(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The project is found from a folder inside it, or by its path; without one, a one-line error gives a hint."""
    wanted = load_model().hash
    (here / "docs").mkdir()
    monkeypatch.chdir(here / "docs")
    assert load_model().hash == wanted
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    noise(0).save("a.png")
    model = load_model(project=here)
    assert model.hash == wanted
    assert model.predict("a.png")[0].file == "a.png"
    assert Path.cwd() == elsewhere
    with pytest.raises(RecordError, match=r"no project: .*; pass the project's folder as `project`"):
        load_model()
    with pytest.raises(MissingDataError, match="other: no model there; check the path"):
        load_model("other", project=here)
    with pytest.raises(MissingDataError, match=r"\.ckpt: a file, and a model is a folder; pass 'data/model'"):
        load_model(paths.MODEL / CHECKPOINT, project=here)
    (here / paths.MODEL / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(project=here)


def test_nothing_else_changes(here: Path) -> None:
    """The user's PyTorch settings do not change, and threads may share a model."""
    noise(0).save("a.png")
    raw, before = (here / "a.png").read_bytes(), torch.get_deterministic_debug_mode()
    model = load_model()
    (wanted,) = model.predict(raw)
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: model.predict(raw)[0], range(40)))
    assert all(one == wanted for one in told)
    assert torch.get_deterministic_debug_mode() == before


def test_example_in_the_docstring(here: Path) -> None:
    """The docstring's example runs unchanged."""
    from pipeline.commands.serve import model

    noise(0).save("cat.jpg")
    (here / "photos").mkdir()
    noise(1).save("photos/photo.png")
    lines = (model.__doc__ or "").splitlines()
    example = "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", example], env=env, check=True, capture_output=True, text=True)
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["cat.jpg", "photos/photo.png"]
    assert {line.split()[1] for line in ran.stdout.splitlines()} <= set(CLASSES)
