"""What a network makes of images before it decides on a class."""

import sys

import pytest
import torch
from conftest import ROOT

from pipeline.models.features import head_of, imprint, look
from pipeline.models.network import Spec, build

CLASSES = ("a", "b", "c")
NAMES = ("test_resnet", "test_vit", "mobilenetv3_small_050", "deit_tiny_distilled_patch16_224")


@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_the_head_makes_the_logits_of_the_features(mode: str) -> None:
    """The features of `small` are what its last layer makes the logits of; logits are those of the network."""
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
    """Networks of timm name their head."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    size = 224 if name.startswith("deit") else 160
    network = build(Spec(model="timm/" + name, size=size, mode="rgb", classes=CLASSES)).eval()
    with torch.inference_mode():
        seen = look(network, torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8))
    assert seen.features.ndim == 2
    assert len(seen.features) == 2
    assert seen.logits.shape == (2, 3)


def test_rows_of_new_classes() -> None:
    """Their images are recognised at once, an image like the others is as likely of them as of another class."""
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 3)
    known, new = torch.rand(6), torch.rand(2, 6)
    with torch.inference_mode():
        rows = imprint(head, known, new)
        mean = head.weight.norm(dim=1).mean()
        assert torch.allclose(rows["weight"].norm(dim=1), mean.expand(2))
        assert torch.allclose(rows["weight"] @ known + rows["bias"], head(known).mean().expand(2), atol=1e-6)
        logits = new @ rows["weight"].T + rows["bias"]
        others = torch.nn.functional.cosine_similarity(rows["weight"], new - known)
    assert torch.allclose(others, torch.ones(2))
    assert logits.argmax(1).tolist() == [0, 1]


def test_rows_without_a_direction_and_without_a_bias() -> None:
    """A class that looks like all others has a row of zeros; a head without biases gets none."""
    head = torch.nn.Linear(6, 3, bias=False)
    known = torch.rand(6)
    with torch.inference_mode():
        rows = imprint(head, known, known[None])
    assert rows.keys() == {"weight"}
    assert not rows["weight"].any()
