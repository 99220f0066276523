"""Predictions are independent of batches, classes and decoding processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.evaluation.inference import Trained, predict
from pipeline.images.dataset import load, locate, read_manifest
from pipeline.models.checkpoint import CHECKPOINT, SPEC, read_network
from pipeline.models.network import Spec, build
from pipeline.params import Params, read_params

CLASSES = ("yak", "ape", "NA", "猫")
IMAGES = [Plain("yak", shade, side) for shade in range(0, 250, 25) for side in (8, 12)]


def params(**compute: Any) -> Params:
    """Return this project's params, on the CPU."""
    read = read_params(ROOT / "params.yaml")
    values = {"accelerator": "cpu", "workers": 1, "batch_size": 256, **compute}
    return read.model_copy(update={"compute": read.compute.model_copy(update=values)})


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with a model of random weights, and images, the working directory."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    spec = Spec(model="small", size=8, mode="grey", classes=CLASSES)
    state = {f"network.{name}": value for name, value in build(spec).state_dict().items()}
    paths.MODEL.mkdir(parents=True)
    torch.save({SPEC: spec.as_kept(), "state_dict": state}, paths.MODEL / CHECKPOINT)
    store_images(test=IMAGES)


def test_rows_are_images_and_columns_classes() -> None:
    """Rows follow the manifest and columns the model's classes; each row sums to 1 in double precision."""
    probabilities = predict(paths.MODEL, locate(read_manifest("test")), params())
    assert list(probabilities.columns) == list(CLASSES)
    assert probabilities.shape == (len(IMAGES), len(CLASSES))
    assert (probabilities.dtypes == np.float64).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-15)


def test_it_is_what_the_network_says() -> None:
    """Predictions are the network's outputs for the pixels of training, in evaluation mode."""
    network, spec = read_network(paths.MODEL)
    images = load(
        read_manifest("test"), mode=spec.mode, size=spec.size, framing="fill", compute=params().compute
    ).images
    with torch.inference_mode():
        expected = network(torch.from_numpy(np.array(images.pixels[images.rows]))).softmax(1).numpy()
    np.testing.assert_allclose(predict(paths.MODEL, locate(read_manifest("test")), params()), expected, atol=1e-6)


@pytest.mark.parametrize("compute", [{"batch_size": 1}, {"batch_size": 7}, {"decoded": 0}], ids=str)
def test_how_it_is_computed_does_not_matter(compute: dict[str, int]) -> None:
    """An image's probabilities depend neither on the batch size nor on where pixels are stored."""
    manifest = read_manifest("test")
    together, otherwise = (predict(paths.MODEL, locate(manifest), one) for one in (params(), params(**compute)))
    pd.testing.assert_frame_equal(together, otherwise)


@pytest.mark.parametrize("said", [None, ":16:8"])
def test_gpus_are_told_to_be_deterministic(said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting for determinism that cuBLAS needs, and PyTorch requires, is set unless the user has set it."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", said or "")
    if said is None:
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    Trained.read(paths.MODEL, params().compute)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == (said or ":4096:8")


def test_the_compiler_is_not_imported() -> None:
    """The compiler, whose import takes seconds, is not imported, although determinism is requested."""
    code = (
        "import sys, torch; from pathlib import Path; from pipeline.evaluation.inference import Trained; "
        "from pipeline.params import read_params; "
        f"Trained.read(Path({str(paths.MODEL)!r}), read_params(Path({str(ROOT / 'params.yaml')!r})).compute); "
        "print(torch.are_deterministic_algorithms_enabled(), not {'torch._dynamo', 'torch._inductor'} & {*sys.modules})"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env).stdout
    assert said == "True True\n"


def test_some_images_in_any_order() -> None:
    """Rows follow any given manifest."""
    manifest = read_manifest("test")
    chosen = manifest.iloc[[5, 2, 11]]
    expected = predict(paths.MODEL, locate(manifest), params()).iloc[[5, 2, 11]].reset_index(drop=True)
    pd.testing.assert_frame_equal(predict(paths.MODEL, locate(chosen), params()), expected)


def test_no_images() -> None:
    """Without images there are no rows, and all columns."""
    nothing = predict(paths.MODEL, locate(read_manifest("test").iloc[:0]), params())
    assert list(nothing.columns) == list(CLASSES)
    assert len(nothing) == 0
