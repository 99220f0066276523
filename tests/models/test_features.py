"""The features of a network before its head."""

import sys

import pytest
import torch
from conftest import ROOT

from pipeline.models.features import head_of, look
from pipeline.models.network import Spec, build

CLASSES = ("a", "b", "c")
NAMES = ("test_resnet", "test_vit", "mobilenetv3_small_050", "deit_tiny_distilled_patch16_224")


@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_the_head_makes_the_logits_of_the_features(mode: str) -> None:
    """The logits of `small` are its head applied to its features."""
    network = build(Spec(model="small", size=16, mode=mode, classes=CLASSES)).eval()
    images = torch.randint(0, 256, (5, 1 if mode == "grey" else 3, 16, 16), dtype=torch.uint8)
    with torch.inference_mode():
        seen = look(network, images)
        assert torch.equal(seen.logits, network(images))
        head = head_of(network)
        assert head is not None
        assert torch.allclose(head(seen.features), seen.logits, atol=1e-6)
    assert seen.features.shape == (5, 128)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_timm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heads of timm networks are found."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    size = 224 if name.startswith("deit") else 160
    network = build(Spec(model="timm/" + name, size=size, mode="rgb", classes=CLASSES)).eval()
    with torch.inference_mode():
        seen = look(network, torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8))
    assert seen.features.ndim == 2
    assert len(seen.features) == 2
    assert seen.logits.shape == (2, 3)
