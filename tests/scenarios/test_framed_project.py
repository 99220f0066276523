"""A project with squashed and cropped images: real Git, real DVC, and all uses of the model."""

import csv
import io
import json
import sys
from hashlib import md5
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import Project, save_png, stages_run

pytestmark = pytest.mark.slow
PIPELINE = ("python", "-m", "pipeline")
EXPORT = Path("data/export")
SQUASHED = {"framing": "squash", "crop_pct": 0.875}


def add_bars(project: Project, first: int, last: int) -> dict[str, Path]:
    """Add images twice as wide as high, with a bar at one end that a centre crop does not show; return their ids."""
    found = {}
    for number in range(first, last):
        side = "left" if number % 2 else "right"
        pixels = np.random.default_rng(number).integers(0, 120, (4, 8)).repeat(4, 0).repeat(4, 1)
        pixels[:, slice(1, 7) if side == "left" else slice(25, 31)] += 120
        path = project.root / "data/raw" / side / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(pixels, path)
        found[md5(path.read_bytes()).hexdigest()] = path
    return found


@pytest.mark.nightly
def test_squashed_images(project: Project) -> None:
    """Training, evaluate, predict and export see the whole image; with another framing the model continues."""
    learnt = {"size": 14, "epochs": 12, "augment": {"crop": [0.7, 1.0]}, **SQUASHED}
    project.set_params(ingest={"size": 16}, train=learnt)
    files = add_bars(project, 0, 160)
    project.dvc("add", "--quiet", "data/raw")
    assert "train: cold start" in project.repro()
    metrics = json.loads(project.read("data/report/metrics.json"))
    assert metrics["accuracy"] > 0.9
    project.commit("squashed")

    # Later params do not affect a trained model.
    project.set_params(train={"framing": "fill", "crop_pct": 1.0})
    expected = {row["id"]: row for row in csv.DictReader(io.StringIO(project.read("data/report/predictions.csv")))}
    assert len(expected) > 5
    names = [str(files[name].relative_to(project.root)) for name in expected]
    said = csv.DictReader(io.StringIO(project.run(*PIPELINE, "predict", "--csv", *names).out))
    for answer, row in zip(said, expected.values(), strict=True):
        assert answer["class"] == row["predicted"]
        assert float(answer["confidence"]) == pytest.approx(float(row["confidence"]), abs=1e-5)

    project.run(*PIPELINE, "export")
    project.run(sys.executable, str(EXPORT / "preprocess.py"), *names, "images.npy")
    images = np.load(project.root / "images.npy")
    assert images.shape == (len(names), 1, 16, 16)
    session = onnxruntime.InferenceSession(project.root / EXPORT / "model.onnx", providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"images": images})
    wanted = [float(row["confidence"]) for row in expected.values()]
    np.testing.assert_allclose(np.asarray(probabilities).max(1), wanted, atol=1e-4)
    facts = {prop.key: prop.value for prop in onnx.load(project.root / EXPORT / "model.onnx").metadata_props}
    preprocessing = json.loads(facts["preprocessing"])
    assert (preprocessing["size"], preprocessing["center_crop"]) == (16, 14)
    assert preprocessing["steps"][-1].startswith("scale width and height to 16 pixels each, whatever they were")
    card = project.read(str(EXPORT / "model_card.md"))
    assert "For images of 16 × 16 pixels in grey,\nof which it looks at the middle 14 × 14.\n" in card
    assert "and then all of it to 16 × 16 pixels, width and height alone.\n" in card

    model = project.lock()["train"]["outs"]["data/model"]
    add_bars(project, 160, 180)
    remarks = project.run(*PIPELINE, "status").out
    assert "training continues with train.framing fill; the model was trained with squash" in remarks
    out = project.repro()
    assert f"train: warm start from {model[:8]}" in out
    reason = json.loads(project.read("data/report/lineage.json"))["reason"]
    assert reason.endswith("; framing is fill, and was squash; crop_pct is 1, and was 0.875")
    assert stages_run(project.repro()) == []
    project.commit("filled")
    assert "2 of 2 generations reproduced, bit for bit" in project.run(*PIPELINE, "replay", "--all").out
