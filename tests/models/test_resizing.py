"""Weights are adapted to images of another size where this is possible."""

import sys

import pytest
import torch
from conftest import ROOT

from pipeline.errors import CheckpointError
from pipeline.models.network import Spec, build
from pipeline.models.resizing import check_size, resize


def spec(model: str, size: int, classes: tuple[str, ...] = ("a", "b")) -> Spec:
    """Return the spec of a network."""
    return Spec(model=model, size=size, mode="rgb", classes=classes)


def test_convolutions_take_any_size() -> None:
    """Weights of convolutions do not change, and a head of fewer classes is left alone."""
    weights = {f"network.{name}": value for name, value in build(spec("small", 16)).state_dict().items()}
    wanted = spec("small", 40, ("a", "b", "c"))
    found = resize(weights, build(wanted), wanted)
    assert found.keys() == weights.keys()
    assert all(value is weights[name] for name, value in found.items())
    check_size(spec("small", 16), 40)


def test_asking_draws_nothing() -> None:
    """The check draws no numbers from PyTorch's generator."""
    state = torch.get_rng_state()
    check_size(spec("small", 16), 40)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_position_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Position embeddings are resampled as by timm, and all else stays; the network takes the images."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    from timm.layers import resample_abs_pos_embed

    before, wanted = build(spec("timm/test_vit3", 64)), spec("timm/test_vit3", 96)
    weights = {f"network.{name}": value for name, value in before.state_dict().items()}
    network = build(wanted)
    found = resize(weights, network, wanted)
    name = "network.body.pos_embed"
    expected = resample_abs_pos_embed(weights[name], (6, 6), num_prefix_tokens=1)
    assert torch.allclose(found[name], expected)
    assert all(value is weights[key] for key, value in found.items() if key != name)
    network.load_state_dict({key.removeprefix("network."): value for key, value in found.items()})
    assert network.eval()(torch.zeros(2, 3, 96, 96, dtype=torch.uint8)).shape == (2, 2)


@pytest.mark.slow
def test_weights_for_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that mixes an image's places works for one size only: an error with a hint."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    with pytest.raises(CheckpointError) as raised:
        check_size(spec("timm/mixer_s32_224", 64), 96)
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert "train.size is 96, and timm/mixer_s32_224 has weights that fit one size alone (" in said
    assert said.endswith("; set it back, or run `pipeline fresh` to train from scratch")
