"""Features of a frozen backbone depend only on the image, and a backbone's name identifies its function."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.features.backbone import BATCH, Backbone, has_features
from pipeline.models.features import head_of, look
from pipeline.models.network import Network, Spec, build

SPEC = Spec(model="small", size=16, mode="rgb", classes=("a", "b"))
IMAGES = torch.randint(0, 256, (3 * BATCH, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def network_of(seed: int = 0, spec: Spec = SPEC) -> Network:
    """Return a network with random weights from `seed`."""
    torch.manual_seed(seed)
    return build(spec)


BACKBONE = Backbone(network_of(), SPEC)
ALL = BACKBONE(IMAGES)


@given(st.lists(st.integers(0, len(IMAGES) - 1), max_size=2 * BATCH))
@settings(max_examples=25, deadline=None)
def test_company_changes_no_bit(chosen: list[int]) -> None:
    """An image's features are the same bit for bit in any batch, at any place."""
    assert np.array_equal(BACKBONE(IMAGES[chosen]), ALL[chosen])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("test_vit", 160), ("mobilenetv3_small_050", 64)])
def test_timm(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for timm networks, too."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    spec = SPEC.model_copy(update={"model": f"timm/{name}", "size": size})
    backbone = Backbone(network_of(spec=spec), spec)
    images = torch.randint(0, 256, (BATCH + 9, 3, size, size), dtype=torch.uint8)
    order = torch.randperm(len(images))
    assert np.array_equal(backbone(images)[order], backbone(images[order]))


def test_they_are_those_of_prediction() -> None:
    """They equal the features in a prediction up to rounding; all layers are unchanged afterwards."""
    network = network_of().train()
    network.body[0].eval()  # type: ignore[index]
    found = Backbone(network, SPEC)(IMAGES)
    assert network.training
    assert not network.body[0].training  # type: ignore[index]
    with torch.inference_mode():
        assert np.allclose(look(network.eval(), IMAGES).features, found, atol=1e-5)


def test_a_name_is_of_the_backbone_alone() -> None:
    """Other weights, code or image sizes change the name; another head or more classes do not."""
    name = BACKBONE.name
    assert Backbone(network_of(), SPEC).name == name
    assert Backbone(network_of(1), SPEC).name != name
    larger = SPEC.model_copy(update={"size": 20})
    assert Backbone(network_of(spec=larger), larger).name != name
    changed = network_of()
    with torch.no_grad():
        head = head_of(changed)
        assert head is not None
        for weight in head.parameters():
            weight.add_(1)
    assert Backbone(changed, SPEC).name == name
    grown = SPEC.model_copy(update={"classes": ("a", "b", "c")})
    assert Backbone(network_of(spec=grown), grown).name == name
    other = network_of()
    other.body[2] = torch.nn.LeakyReLU()  # type: ignore[operator]
    assert Backbone(other, SPEC).name != name


class Headed(nn.Module):
    """A network that applies `last` to its head's logits."""

    def __init__(self, last: Callable[["Headed", Tensor], Tensor], head: nn.Module | None = None) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 8, 3, stride=2), head or nn.Linear(8, 2)
        self.other, self.last = nn.Linear(8, 2), last
        nn.init.zeros_(self.other.weight), nn.init.zeros_(self.other.bias)

    def get_classifier(self) -> nn.Module:
        """Return the head, as timm's networks do."""
        return self.head

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        return self.last(self, self.convolution(images).relu())


def mean(maps: Tensor) -> Tensor:
    """Average over the places."""
    return maps.mean((2, 3))


@pytest.mark.parametrize(
    ("last", "are_kept"),
    [
        (lambda body, maps: body.head(mean(maps)), True),
        (lambda body, maps: nn.functional.dropout(body.head(mean(maps)), 0.5, body.training), True),
        (lambda body, maps: body.head(mean(maps)) * 0.5, False),
        (lambda body, maps: body.head(mean(maps)).clamp(-20, 20), False),
        (lambda body, maps: body.head(mean(maps)) + body.other(mean(maps)) + 1, False),
        (lambda body, maps: nn.functional.linear(mean(maps), body.head.weight, body.head.bias), False),
        (lambda body, maps: body.head(maps.flatten(2).transpose(1, 2)).mean(1), False),
        (lambda body, maps: body.head(body.head(mean(maps)).repeat(1, 4)), False),
    ],
)
def test_features_are_all_that_logits_come_of(last: Callable[[Headed, Tensor], Tensor], *, are_kept: bool) -> None:
    """If anything follows the head, or it is not called as a layer, no features are stored; nothing is changed."""
    network = Network(Headed(last), (0.5,) * 3, (0.25,) * 3, 16)
    with torch.no_grad():
        before = network(IMAGES[:2])
    assert has_features(network, SPEC) == are_kept
    with torch.no_grad():
        assert network.training
        assert torch.equal(network(IMAGES[:2]), before) or are_kept  # Dropout draws other numbers.


def test_a_head_of_another_kind() -> None:
    """A convolutional head takes features at many places, which are not stored."""
    assert has_features(network_of(), SPEC)
    body = Headed(lambda body, maps: mean(body.head(maps)), nn.Conv2d(8, 2, 1))
    assert not has_features(Network(body, (0.5,) * 3, (0.25,) * 3, 16), SPEC)


def test_compiled_networks_keep_nothing_of_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check runs the network itself rather than its compiled form."""
    network = network_of()
    monkeypatch.setattr(network, "_compiled_call_impl", lambda *_: pytest.fail("that is the compiled one"))
    assert has_features(network, SPEC)
