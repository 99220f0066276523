"""preprocess.py, written next to an exported model, gives the pixels that `pipeline predict` uses for any file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.dicoms import dicom
from support.drawn import save_drawn, set_params
from support.formats import encoded, gradient
from support.kinds import put_kinds
from support.stored import Plain, store_images

from pipeline import cli, paths
from pipeline.commands.serve import standalone
from pipeline.commands.serve.preprocessing import recorded_ingest, views
from pipeline.commands.serve.standalone import SCRIPT, run_script, script_of
from pipeline.errors import ExportError
from pipeline.ingestion.pictures import uniform
from pipeline.ingestion.scan import find
from pipeline.models.network import Spec
from pipeline.params import read_params

Capture = pytest.CaptureFixture[str]
FOLDER = paths.DATA / "export"
SPEC = Spec(model="small", size=28, mode="rgb", classes=("a", "b"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)
    set_params()
    return tmp_path


@pytest.fixture
def trained(here: Path) -> Path:
    """Make a project with a model and an image for it."""
    save_drawn(paths.MODEL)
    store_images(test=[Plain("cat", 10)])
    return here


SQUASHED = SPEC.model_copy(update={"framing": "squash", "crop_pct": 0.875})


@pytest.mark.parametrize(("mode", "spec"), [("rgb", SPEC), ("grey", SPEC), ("rgb", SQUASHED), ("grey", SQUASHED)])
def test_pixels_are_those_of_training(here: Path, mode: str, spec: Spec) -> None:
    """Every kind of file gives bit for bit the pixels of ingest and of the reader of stored images."""
    set_params(ingest={"mode": mode, "size": 40})
    put_kinds(here / "kinds")
    spots = list(find(here / "kinds"))
    ingest = recorded_ingest(read_params(), mode=mode)
    (here / SCRIPT).write_text(script_of(ingest, spec), encoding="utf-8")
    made = run_script(here / SCRIPT, [Path(spot.place.path) for spot in spots], here / "images.npy")
    wanted = np.stack([view.seen for view in views(spots, ingest, spec, workers=1)])
    assert made.dtype == np.uint8
    assert made.shape[2:] == (spec.source, spec.source)
    np.testing.assert_array_equal(made, wanted)
    assert len(np.unique(made, axis=0)) == len(spots)


@pytest.mark.parametrize("how", ["percentile", [20, 4000.5]])
def test_range_and_formats_are_those_of_training(here: Path, how: object) -> None:
    """Formats of optional packages, and values above 8 bits scaled by ingest's range, give the same pixels, too."""
    set_params(ingest={"range": how, "size": 40})
    deep = gradient("I;16").point(lambda value: value / 16)
    files = {
        "deep.png": encoded(deep, "PNG"),
        "floats.tif": encoded(gradient("F"), "TIFF"),
        "medical.dcm": dicom(np.asarray(gradient("I;16")) // 20, BitsStored=12),
        "phone.heic": encoded(gradient("RGB"), "HEIF"),
        "game.tga": encoded(gradient("RGBA"), "TGA"),
    }
    for name, raw in files.items():
        (here / name).write_bytes(raw)
    spots = [spot for name in files for spot in find(here / name)]
    ingest = recorded_ingest(read_params(), mode="rgb")
    (here / SCRIPT).write_text(script_of(ingest, SPEC), encoding="utf-8")
    made = run_script(here / SCRIPT, [Path(name) for name in files], here / "images.npy")
    np.testing.assert_array_equal(made, np.stack([view.seen for view in views(spots, ingest, SPEC, workers=1)]))


def test_it_stands_alone(here: Path) -> None:
    """The script imports only Pillow, numpy and the standard library, and is complete."""
    (here / SCRIPT).write_text(script_of(recorded_ingest(read_params(), mode="rgb"), SPEC), encoding="utf-8")
    show = "import sys; before = {*sys.modules}; import preprocess; print(*{*sys.modules} - before)"
    ran = subprocess.run([sys.executable, "-c", show], cwd=here, check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"preprocess", "PIL", "numpy"}
    subprocess.run(["ruff", "check", "--isolated", "--select=F", SCRIPT], cwd=here, check=True)


def test_what_training_refuses_it_refuses(here: Path) -> None:
    """The script refuses an animation as ingest does, with the reason."""
    Image.new("L", (9, 9)).save("a.gif", save_all=True, append_images=[Image.new("L", (9, 9), 9)])
    (here / SCRIPT).write_text(script_of(recorded_ingest(read_params(), mode="rgb"), SPEC), encoding="utf-8")
    with pytest.raises(ExportError, match="UnusableError: animation: more than one frame or page"):
        run_script(here / SCRIPT, [Path("a.gif")], here / "images.npy")


def test_without_a_file_for_the_result_it_says_what_it_takes(here: Path) -> None:
    """Without an output file, the script prints a usage line, and writes nothing."""
    (here / SCRIPT).write_text(script_of(recorded_ingest(read_params(), mode="rgb"), SPEC), encoding="utf-8")
    Image.new("L", (9, 9)).save("a.png")
    ran = subprocess.run([sys.executable, SCRIPT, "a.png"], cwd=here, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, "usage: python preprocess.py IMAGE… images.npy\n")
    assert not [*here.glob("*.npy")]


def test_another_rule_is_found(trained: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the script does not rotate images upright, neither it nor the model is written; one line names the image."""
    body = standalone._body
    monkeypatch.setattr(standalone, "_body", lambda module: body(module).replace("6: Image", "60: Image"))
    assert cli.main(["export"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "preprocess.py: not written, since turned.jpg gets other answers than by `pipeline predict`: " in said
    assert not list((trained / FOLDER).iterdir())


def test_anothers_file_stays(trained: Path, capsys: Capture) -> None:
    """A preprocess.py that no export wrote is not replaced; one of an earlier export is."""
    script = trained / FOLDER / SCRIPT
    script.parent.mkdir(parents=True)
    script.write_text("mine")
    assert cli.main(["export"]) == 1
    assert "data/export/preprocess.py: is there, and no export wrote it; move it" in capsys.readouterr().err
    assert script.read_text() == "mine"
    script.write_text(f'"""{standalone.ORIGIN}"""')
    assert cli.main(["export"]) == 0
    assert uniform.uniform.__name__ in script.read_text()
