"""The built-in network, and timm's."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from conftest import ROOT

from pipeline.errors import ParamError
from pipeline.models.network import Network, Spec, build, crop_pct_of

TIMM = ROOT / ".venv" / "timm"


def spec(size: int = 8, mode: str = "grey", classes: int = 5, model: str = "small") -> Spec:
    """Return the spec of a network."""
    return Spec(model=model, size=size, mode=mode, classes=tuple(f"class {number}" for number in range(classes)))


def images(count: int = 4, size: int = 8, mode: str = "grey") -> torch.Tensor:
    """Return images of noise."""
    return torch.randint(0, 256, (count, 1 if mode == "grey" else 3, size, size), dtype=torch.uint8)


def built(seed: int = 0, **changes: Any) -> Network:
    """Return a network with random weights from `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(spec(**changes))


@pytest.mark.parametrize("mode", ["grey", "rgb"])
@pytest.mark.parametrize("size", [8, 9, 15, 16, 27, 28, 32, 33, 64, 96])
def test_small_takes_any_size(size: int, mode: str) -> None:
    """Images of 8 to 96 pixels, grey or colour, give finite logits per class, in training and evaluation."""
    network = built(size=size, mode=mode)
    for training in (True, False):
        logits = network.train(training)(images(size=size, mode=mode))
        assert logits.shape == (4, 5)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("classes", [2, 1000])
def test_small_is_small(classes: int) -> None:
    """The network has about 0.3 million weights besides its head."""
    network = built(mode="rgb", classes=classes)
    assert 250_000 < sum(weight.numel() for weight in network.parameters()) - 129 * classes < 350_000


def test_images_do_not_disturb_each_other() -> None:
    """In evaluation an image's logits do not depend on its batch."""
    network, batch = built().eval(), images(6)
    with torch.inference_mode():
        torch.testing.assert_close(network(batch)[2:3], network(batch[2:3]))


def test_every_weight_learns() -> None:
    """Every weight gets a gradient."""
    network = built(size=16)
    network(images(size=16)).logsumexp(1).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name


def test_seed_draws_the_weights() -> None:
    """The same seed gives the same weights, another one different weights."""
    one, same, other = (built(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["body.0.weight"], other["body.0.weight"])


def test_pixels_are_centred() -> None:
    """Black, grey and white are −2, 0 and 2 at the first layer."""
    network = Network(torch.nn.Flatten(), (0.5,), (0.25,))
    pixels = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert network(pixels).tolist() == [[-2, 2]]


def test_checkpoints_hold_weights_only() -> None:
    """Mean and deviation belong to the kind of model, and are not in checkpoints."""
    assert not {"mean", "std"} & set(built().state_dict())


def test_spec_survives_json() -> None:
    """A spec is read back from JSON as written; unknown facts are refused."""
    assert Spec.model_validate(json.loads(spec().model_dump_json())) == spec()
    with pytest.raises(ValueError, match="extra"):
        Spec.model_validate({**spec().model_dump(), "unknown": 1})


def test_timm_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without timm its models are a one-line error with the install command."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ParamError) as raised:
        build(spec(model="timm/resnet18"))
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert "train.model is 'timm/resnet18', but timm is not installed; run `pip install timm`" in said


@pytest.mark.parametrize("size", [8, 9])
def test_larger_images_are_seen_in_the_middle(size: int) -> None:
    """A larger image gives the output of its centre crop."""
    seen = spec(size=size, mode="rgb").model_copy(update={"framing": "squash", "crop_pct": 0.5})
    assert seen.source == 2 * size
    network = build(seen).eval()
    images = torch.randint(0, 256, (2, 3, seen.source, seen.source), dtype=torch.uint8)
    first = size // 2
    cut = images[:, :, first : first + size, first : first + size]
    with torch.inference_mode():
        assert torch.equal(network(images), network(cut))
        other = images.clone()
        other[:, :, :first], other[:, :, first + size :] = 0, 255
        assert torch.equal(network(other), network(cut))


def test_what_checkpoints_keep_of_the_framing() -> None:
    """Default framing is not stored, so that checkpoints keep their bytes; a missing value means the default."""
    plain, other = spec(), spec().model_copy(update={"framing": "squash", "crop_pct": 0.875})
    assert list(plain.as_kept()) == ["model", "size", "mode", "classes"]
    assert other.as_kept() == {**plain.as_kept(), "framing": "squash", "crop_pct": 0.875}
    for one in (plain, other):
        assert Spec.model_validate(one.as_kept()) == one


def test_crop_pct() -> None:
    """A number is used as it is; `small` has no crop."""
    assert crop_pct_of("small", 0.5) == crop_pct_of("timm/any", 0.5) == 0.5
    assert crop_pct_of("small", "model") == 1


SCRIPT = """
import json, torch
from pipeline.errors import ParamError
from pipeline.models.network import Spec, build, crop_pct_of

found = {"crop_pct": [crop_pct_of("timm/" + name, "model") for name in ("test_resnet", "resnet18.a1_in1k", "resnet18")]}
try:
    crop_pct_of("timm/resnet81", "model")
except ParamError as error:
    found["crop_pct of none"] = str(error)
try:
    build(Spec(model="timm/resnet18.a1_in1k", size=40, mode="rgb", classes=("a", "b")), pretrained=True)
except ParamError as error:
    found["offline"] = str(error)
for mode, channels in (("grey", 1), ("rgb", 3)):
    network = build(Spec(model="timm/test_resnet", size=40, mode=mode, classes=("a", "b", "c")))
    pixels = torch.full((2, channels, 40, 40), 128, dtype=torch.uint8)
    for training in (True, False):
        logits = network.train(training)(pixels)
        found[f"{mode} {training}"] = [list(logits.shape), str(logits.dtype), bool(torch.isfinite(logits).all())]
    found[f"{mode} mean"] = [len(network.mean), round(float(network.mean.mean()))]
for name in ("resnet81", "resnet", "zzz", "hf_hub:x", "resnet18.nonsense"):
    try:
        build(Spec(model="timm/" + name, size=40, mode="rgb", classes=("a", "b")))
    except ParamError as error:
        found[name] = str(error)
print("found", json.dumps(found))
"""


@pytest.fixture(scope="module")
def timm() -> dict[str, Any]:
    """Return the output of `SCRIPT` with timm, which is installed separately, since it slows down imports."""
    if not TIMM.is_dir():
        pytest.skip("timm is not in .venv/timm; `make check` puts it there")
    path = os.pathsep.join([str(ROOT), str(TIMM)])
    env = {**os.environ, "PYTHONPATH": path, "HF_ENDPOINT": "http://localhost:1"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, check=False, capture_output=True, text=True, cwd=ROOT, timeout=400
    )
    assert ran.returncode == 0, ran.stderr
    return {**json.loads(ran.stdout.rpartition("found ")[2]), "printed": ran.stderr}


@pytest.mark.xdist_group("timm")
@pytest.mark.parametrize(("mode", "channels"), [("grey", 1), ("rgb", 3)])
def test_timm_models_take_grey_and_colour(timm: dict[str, Any], mode: str, channels: int) -> None:
    """A timm model takes images of one or three channels, normalised as the model requires."""
    for training in (True, False):
        assert timm[f"{mode} {training}"] == [[2, 3], "torch.float32", True]
    assert timm[f"{mode} mean"][0] == channels
    assert 100 < timm[f"{mode} mean"][1] < 150


@pytest.mark.xdist_group("timm")
@pytest.mark.parametrize("name", ["resnet81", "resnet", "zzz", "hf_hub:x", "resnet18.nonsense"])
def test_unknown_timm_models(timm: dict[str, Any], name: str) -> None:
    """An unknown timm name is a one-line error with the nearest one."""
    said = timm[name]
    assert said.splitlines() == [said]
    assert f"train.model: timm has no model {name!r}; the nearest one is timm/" in said
    if name == "resnet81":
        assert said.endswith("timm/resnet18")


@pytest.mark.xdist_group("timm")
def test_crop_pct_of_timm_models(timm: dict[str, Any]) -> None:
    """The crop is the one that timm evaluated the weights with; an unknown name is an error here, too."""
    assert timm["crop_pct"] == [0.95, 0.95, 0.95]
    assert timm["crop_pct of none"].endswith("timm has no model 'resnet81'; the nearest one is timm/resnet18")


@pytest.mark.xdist_group("timm")
def test_published_weights_without_a_network(timm: dict[str, Any]) -> None:
    """Published weights without a network connection are a one-line error with a hint, without repeated requests."""
    said, printed = timm["offline"], timm["printed"]
    assert said.splitlines() == [said]
    assert "train.pretrained: the weights of resnet18.a1_in1k are not available (" in said
    assert said.endswith("); run it once with a network, or set train.pretrained to false")
    assert "Retrying" not in printed
