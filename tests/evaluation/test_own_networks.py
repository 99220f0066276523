"""Outputs of a project's own networks are checked in evaluation, and these networks are never folded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.own import NET, write_package

from pipeline.errors import CheckpointError
from pipeline.evaluation.inference import Trained
from pipeline.models.checkpoint import CHECKPOINT, RESPONSE, SPEC, respond
from pipeline.models.network import Spec, build
from pipeline.params import read_params

SPEC_OF_NOW = Spec(model="mine.nets:build", size=8, mode="grey", classes=("cat", "dog"))
COMPUTE = read_params().compute.model_copy(update={"accelerator": "cpu"})
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
SEQUENCE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.parts = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, classes)

    def forward(self, images):
        return self.head(self.parts[0](images).mean((2, 3)))


def build(*, channels, classes, size):
    return Net(classes)
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make an empty project the working directory; reset the determinism that `Trained.read` requests."""
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_deterministic_debug_mode("default")


def trained(monkeypatch: pytest.MonkeyPatch, text: str) -> Trained:
    """Return the model of the network in `text`, read as evaluate does."""
    write_package(monkeypatch, nets=text)
    network = build(SPEC_OF_NOW)
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    response = respond(network.eval(), SPEC_OF_NOW)
    Path("model").mkdir(exist_ok=True)
    checkpoint = {SPEC: SPEC_OF_NOW.model_dump(mode="json"), "state_dict": weights, RESPONSE: response}
    torch.save(checkpoint, Path("model", CHECKPOINT))
    return Trained.read(Path("model"), COMPUTE)


def test_outputs_for_other_numbers_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs for another number of images are a one-line error with both shapes."""
    assert trained(monkeypatch, NET).probabilities(IMAGES).shape == (5, 2)
    Path("model", CHECKPOINT).unlink()
    cut = SEQUENCE.replace("(images).mean((2, 3))", "(images).mean((2, 3))[:4]")
    with pytest.raises(CheckpointError, match=r"^5 images: mine.nets:build gives \(4, 2\) for them, and not logits of"):
        trained(monkeypatch, cut).probabilities(IMAGES)


def test_sequences_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of a sequence that is also used alone gives the same outputs as in training."""
    model = trained(monkeypatch, SEQUENCE)
    parts = model.network.body.get_submodule("parts")
    assert [type(part).__name__ for part in parts.children()] == ["Conv2d", "BatchNorm2d"]
