"""`pipeline export` writes a self-describing file that gives the model's outputs, or it writes nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT
from support.drawn import CLASSES, save_drawn, set_params
from support.stored import Plain, store_images

from pipeline import cli, paths
from pipeline.commands.serve import checking, export, onnx_file
from pipeline.images.dataset import load, read_manifest
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import read_network
from pipeline.params import read_params
from pipeline.text import percent
from pipeline.versioning import hashing

Capture = pytest.CaptureFixture[str]
TIMM = ROOT / ".venv" / "timm"
FILE = Path("data/export/model.onnx")
TEST = [Plain("cat", shade) for shade in range(0, 250, 5)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a project with test images, a model and an export of it."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        set_params()
        save_drawn(paths.MODEL, size=28)
        store_images(test=TEST, train=[Plain("dog", shade, 9) for shade in range(50)])
        assert cli.main(["export"]) == 0
        yield root


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make that project the working directory."""
    monkeypatch.chdir(made)
    return made


def session() -> onnxruntime.InferenceSession:
    """Return a session of the exported model."""
    return onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", [1, 2, 17])
def test_answers_are_the_models(here: Path, count: int) -> None:
    """Any number of noise images gets the model's logits and probabilities."""
    images = np.random.default_rng(count).integers(0, 256, (count, 3, 28, 28), np.uint8)
    network, spec = read_network(paths.MODEL)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
    logits, probabilities = session().run(["logits", "probabilities"], {"images": images})
    np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(probabilities, wanted.softmax(1).numpy(), atol=1e-4)
    assert probabilities.shape == (count, len(spec.classes))
    assert np.ptp(logits) > 0.1
    assert here.exists()


def test_file_says_all_about_itself(here: Path) -> None:
    """The file contains classes, preprocessing, lineage, hash and version, and no paths of the machine that made it."""
    proto = onnx.load(FILE)
    onnx.checker.check_model(proto, full_check=True)
    facts = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(facts["classes"]) == list(CLASSES)
    assert json.loads(facts["lineage"]) == read_lineage(paths.MODEL).model_dump(mode="json")
    assert facts["model"] == hashing.directory_hash(paths.MODEL)
    assert facts["treering"] == version("treering")
    preprocessing = json.loads(facts["preprocessing"])
    assert preprocessing["size"] == 28
    assert any("longer than 256, scale it to that" in step for step in preprocessing["steps"])
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", onnx_file.OPSET)]
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    data = FILE.read_bytes()
    for place in (ROOT, here, Path(sys.prefix)):
        assert str(place).encode() not in data


def test_version_of_what_is_not_installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is not installed the version is empty."""
    monkeypatch.setattr(export, "PACKAGE", "no such package")
    network, spec = read_network(paths.MODEL)
    assert export.facts_of(paths.MODEL, spec, network, read_params())["treering"] == ""
    assert here.exists()


@pytest.mark.parametrize(
    ("wanted", "given", "difference"),
    [([0.25, 0.75], [0.2502, 0.7498], 2e-4), ([0.0, -1.0], [1e-3, -1.0], 1e-3), ([5000.0, 1.0], [5001.0, 1.0], 2e-4)],
)
def test_how_answers_are_compared(wanted: list[float], given: list[float], difference: float) -> None:
    """Values up to 1 are compared by their absolute difference, larger logits by their relative one."""
    assert checking.how_far(np.array(given), np.array(wanted)) == pytest.approx(difference)


def test_same_model_same_bytes(here: Path, capsys: Capture, tmp_path: Path) -> None:
    """Another export gives the same bytes in any place; the command reports how it was checked."""
    assert cli.main(["export", "--output", str(tmp_path / "deep/x.onnx")]) == 0
    assert (tmp_path / "deep/x.onnx").read_bytes() == FILE.read_bytes()
    first, second = capsys.readouterr().out.splitlines()
    assert "checked on 64 images, largest difference " in first
    assert float(first.rpartition(" ")[2]) <= checking.TOLERANCE
    assert second == f"model card: {tmp_path}/deep/model_card.md"
    assert here.exists()


def test_what_differs_is_not_kept(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that fails the check is removed, and the previous file is kept."""
    before = {path: path.read_bytes() for path in FILE.parent.iterdir()}
    monkeypatch.setattr(checking, "TOLERANCE", -1.0)
    assert cli.main(["export"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "data/export/model.onnx: not written, since it differs from the model by " in err
    assert {path: path.read_bytes() for path in FILE.parent.iterdir()} == before
    assert here.exists()


@pytest.mark.slow
def test_integers(here: Path, capsys: Capture, tmp_path: Path) -> None:
    """The accuracy of an 8-bit file on the test images is reported next to the float model's, also in its metadata."""
    target = tmp_path / "model.int8.onnx"
    for _ in range(2):  # The bytes are the same each time.
        assert cli.main(["export", "--format", "onnx-int8", "--output", str(target)]) == 0
    first, card, again, _ = capsys.readouterr().out.splitlines()
    assert first == again
    proto = onnx.load(target)
    onnx.checker.check_model(proto, full_check=True)
    facts = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(facts["classes"]) == list(CLASSES)
    kinds = {one.data_type for one in proto.graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    assert target.stat().st_size < FILE.stat().st_size / 2
    test = load(read_manifest("test"), mode="rgb", size=28, framing="fill", compute=read_params().compute)
    (images,) = test.images.batches([np.arange(len(test))])
    sessions = (onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"]), session())
    found = [np.array(CLASSES)[one.run(["logits"], {"images": images})[0].argmax(1)] for one in sessions]
    accuracy, floats = (float((one == test.labels).mean()) for one in found)
    agreement = float((found[0] == found[1]).mean())
    assert json.loads(facts["quantised"]) == {
        "accuracy": accuracy,
        "floats": floats,
        "agreement": agreement,
        "images": 50,
        "calibrated": 50,
    }
    assert f"test accuracy {percent(accuracy)} (in floats {percent(floats)}) on 50 images" in first
    assert f"{percent(agreement)}; calibrated on 50 training images" in first
    assert "8-bit integers" in Path(card.partition(": ")[2]).read_text()
    assert here.exists()


PROGRAM = """
import json, sys
import numpy, torch
facts = {"classes": "", "lineage": ""}
network = torch.export.load(sys.argv[1], extra_files=facts).module()
outputs = network(torch.from_numpy(numpy.load(sys.argv[2])))
numpy.savez(sys.argv[3], *[output.detach().numpy() for output in outputs])
print(json.dumps(facts))
"""


@pytest.mark.slow
def test_program(here: Path, capsys: Capture, tmp_path: Path) -> None:
    """A .pt2 file gives the model's outputs for any number of images, without this package."""
    target = tmp_path / "model.pt2"
    for _ in range(2):
        assert cli.main(["export", "--output", str(target)]) == 0  # The extension selects the format.
        written = target.read_bytes()
    assert target.read_bytes() == written
    assert "largest difference" in capsys.readouterr().out
    for place in (ROOT, here, Path(sys.prefix)):
        assert str(place).encode() not in written
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 28, 28), np.uint8)
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-I", "-c", PROGRAM, "model.pt2", "images.npy", "found.npz"]
    ran = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    facts = json.loads(ran.stdout)
    assert json.loads(facts["classes"]) == list(CLASSES)
    assert json.loads(facts["lineage"]) == read_lineage(paths.MODEL).model_dump(mode="json")
    network, _ = read_network(paths.MODEL)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["arr_0"], wanted.numpy(), atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(found["arr_1"], wanted.softmax(1).numpy(), atol=1e-4)


def test_formats(here: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with another format's extension is an error; .pt2 needs no package of the extra."""
    assert cli.main(["export", "--format", "pt2", "--output", "x.onnx"]) == 1
    said = "x.onnx: does not end as files of the format pt2 do; let it end in .pt2, or choose another --format"
    assert capsys.readouterr().err == f"pipeline: error: {said}\n"
    for name in onnx_file.NEEDED:
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["export", "--output", str(tmp_path / "x.pt2")]) == 0
    assert here.exists()


def test_integers_are_measured_or_not_written(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without test images or training images no 8-bit file is written."""
    monkeypatch.chdir(tmp_path)
    set_params()
    save_drawn(paths.MODEL)
    for name, splits in (("train", {"test": TEST}), ("test", {"train": TEST})):
        store_images(**splits)
        assert cli.main(["export", "--format", "onnx-int8"]) == 1
        said = f"data/manifest/{name}.csv: no {name} images, by which 8-bit integers are "
        assert capsys.readouterr().err.startswith(f"pipeline: error: {said}")
    assert not FILE.parent.exists()


@pytest.mark.parametrize("name", onnx_file.NEEDED)
def test_missing_package(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A missing package of the extra is a one-line error with the command to install it."""
    monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["export"]) == 1
    said = f"the package {name} is not installed; run `pip install onnx onnxruntime onnxscript`\n"
    assert capsys.readouterr().err == f"pipeline: error: pipeline export: {said}"
    assert here.exists()


def test_nothing_to_check_it_on(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without images the file cannot be checked, and is not written."""
    monkeypatch.chdir(tmp_path)
    set_params()
    save_drawn(paths.MODEL)
    assert cli.main(["export"]) == 1
    assert "no manifests" in capsys.readouterr().err
    store_images()
    assert cli.main(["export"]) == 1
    assert "no images to check the file on" in capsys.readouterr().err
    assert not FILE.parent.exists()


SCRIPT = """
import sys, torch
from pathlib import Path
from support.drawn import save_drawn
from pipeline.models.checkpoint import CHECKPOINT, SPEC
from pipeline.cli import main
from pipeline.models.network import Spec, build

model = Path("data/model")
save_drawn(model)
spec = Spec(model="timm/test_resnet", size=40, mode="rgb", classes=("cat", "dog", "emu"))
state = {f"network.{name}": value for name, value in build(spec).state_dict().items()}
torch.save({SPEC: spec.as_kept(), "state_dict": state}, model / CHECKPOINT)
sys.exit(main(["export"]))
"""


@pytest.mark.xdist_group("timm")
@pytest.mark.slow
def test_timm_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timm model is exported and checked like any other."""
    if not TIMM.is_dir():
        pytest.skip("timm is not in .venv/timm; `make check` puts it there")
    monkeypatch.chdir(tmp_path)
    set_params()
    store_images(test=TEST)
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", TIMM)))
    env: dict[str, Any] = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], env=env, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "checked on 50 images" in ran.stdout
    assert FILE.exists()
