"""Groups of layers, and freezing some of them."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import nn

from pipeline.errors import ParamError
from pipeline.models.layers import freeze_layers, freeze_weights, frozen_modules, groups_of, head_weights
from pipeline.models.network import Network, Spec, build
from pipeline.models.normalisation import normalised

TIMM = ROOT / ".venv" / "timm"


def small() -> Network:
    """Return the built-in network."""
    torch.manual_seed(0)
    return build(Spec(model="small", size=8, mode="grey", classes=("cat", "dog")))


def frozen(network: Network) -> set[str]:
    """Return the names of the weights that do not train."""
    return {name for name, weight in network.named_parameters() if not weight.requires_grad}


def places(network: Network) -> set[str]:
    """Return the names of the frozen modules."""
    still = frozen_modules(network)
    return {name for name, module in network.named_modules() if module in still}


def images(count: int = 4) -> torch.Tensor:
    """Return images of noise."""
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8)


def test_groups_of_small() -> None:
    """The groups are the first convolution, three stages, and the head, with each weight once, in order."""
    network = small()
    groups = groups_of(network)
    assert groups[0] == ["body.0.weight", "body.1.weight", "body.1.bias"]
    assert groups[-1] == ["body.8.weight", "body.8.bias"]
    assert len(groups) == 5
    assert [name for group in groups for name in group] == [name for name, _ in network.named_parameters()]
    assert head_weights(network) == set(groups[-1])


def test_weights_of_no_layer() -> None:
    """Weights of the network itself are in the first group."""
    network = Network(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)), (0.5,), (0.25,))
    network.body.register_parameter("place", nn.Parameter(torch.zeros(2)))
    first = ["body.place", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias"]
    assert groups_of(network) == [first, ["body.2.weight", "body.2.bias"]]


def test_nothing_is_frozen() -> None:
    """Without freezing nothing is reported or changed."""
    network = small()
    network.body[1].eval()  # type: ignore[index]
    assert freeze_layers(network, "none") == ""
    assert frozen(network) == places(network) == set()
    assert not network.body[1].training  # type: ignore[index]


def test_first_groups() -> None:
    """The first groups from the input on are frozen."""
    network = small()
    assert freeze_layers(network, 2) == "2 of 5 groups of layers frozen"
    assert frozen(network) == {name for group in groups_of(network)[:2] for name in group}
    assert {"body.0", "body.1", "body.2", "body.3", "body.3.convolutions.2"} <= places(network)
    assert not {"", "body", "body.4", "body.8"} & places(network)
    assert len(normalised(network)) == 6


def test_all_but_the_head() -> None:
    """Only the head's weights train, and no statistics are estimated."""
    network = small()
    assert freeze_layers(network, "backbone") == "the head alone trains"
    assert {name for name, _ in network.named_parameters()} - frozen(network) == {"body.8.weight", "body.8.bias"}
    assert normalised(network) == []


@pytest.mark.parametrize("freeze", [3, "backbone"])
def test_frozen_layers_are_as_in_prediction(freeze: str | int) -> None:
    """Weights and statistics of frozen layers stay bit for bit, and all others change."""
    network = small()
    freeze_layers(network, freeze)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(images()).logsumexp(1).sum().backward()
        optimizer.step()
    trains = {name for name, weight in network.named_parameters() if weight.requires_grad}
    still = places(network)
    for name, value in network.state_dict().items():
        is_frozen = name.rpartition(".")[0] in still
        assert torch.equal(value, before[name]) == is_frozen, name
        assert is_frozen != (name in trains) or name.rpartition(".")[2].startswith(("running", "num"))


def test_dropout_belongs_to_what_follows_it() -> None:
    """Dropout before frozen layers is inactive; the head's own is active."""
    body = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 2))
    network = Network(body, (0.5,), (0.25,))
    freeze_layers(network, "backbone")
    assert [module.training for module in body] == [False, False, False, True, True]


def test_thawed_layers_train() -> None:
    """Thawed layers train as if they had never been frozen."""
    network = small()
    freeze_layers(network, "backbone")
    freeze_weights(network, ())
    assert frozen(network) == set()
    assert all(module.training for module in network.modules())
    assert len(normalised(network)) == 10


@pytest.mark.parametrize("freeze", [5, 6])
def test_nothing_left_to_train(freeze: int) -> None:
    """If nothing is left to train, the error has the number of groups."""
    with pytest.raises(ParamError, match=rf"train\.freeze is {freeze}, but the network has 5 groups of layers; set it"):
        freeze_layers(small(), freeze)


def test_network_without_a_head() -> None:
    """A network whose last layer has no weights is an error that says what can be frozen."""
    network = Network(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (0.5,), (0.25,))
    with pytest.raises(ParamError, match=r"train\.freeze is backbone: the network has no head of its own"):
        freeze_layers(network, "backbone")


SCRIPT = """
import json
import torch
from pipeline.models.layers import freeze_layers, groups_of, head_weights, frozen_modules
from pipeline.models.network import Spec, build
from pipeline.models.normalisation import normalised

found = {}
for name in ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "deit_tiny_distilled_patch16_224"):
    spec = Spec(model="timm/" + name, size=224 if "deit" in name else 64, mode="rgb", classes=("a", "b", "c"))
    network = build(spec)
    groups, names = groups_of(network), [key for key, _ in network.named_parameters()]
    facts = {"groups": len(groups), "all": sorted(key for group in groups for key in group) == sorted(names)}
    facts["head"], facts["head is last"] = sorted(head_weights(network)), head_weights(network) <= {*groups[-1]}
    facts["statistics"] = [len(normalised(network))]
    for freeze in (1, len(groups) - 1, "backbone"):
        network = build(spec)
        facts[str(freeze) if freeze != len(groups) - 1 else "most"] = freeze_layers(network, freeze)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        facts["statistics"].append(len(normalised(network)))
        optimizer = torch.optim.AdamW(weights, lr=0.1)
        images = torch.randint(0, 256, (4, 3, spec.size, spec.size), dtype=torch.uint8)
        network(images).logsumexp(1).sum().backward()
        optimizer.step()
        still = {key for key, module in network.named_modules() if module in frozen_modules(network)}
        trains = {key for key, weight in network.named_parameters() if weight.requires_grad}
        changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
        facts[f"changed {freeze if freeze == 'backbone' else ''}"] = sorted(changed)
        assert all(key in trains or key.rpartition(".")[0] not in still for key in changed), changed
        assert all(changed & {*group} for group in groups if trains & {*group}), trains - changed
    found[name] = facts
print("found", json.dumps(found))
"""


@pytest.fixture(scope="module")
def timm() -> dict[str, Any]:
    """Return the output of `SCRIPT` with timm, which is installed separately."""
    if not TIMM.is_dir():
        pytest.skip("timm is not in .venv/timm; `make check` puts it there")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TIMM)]), "HF_ENDPOINT": "http://localhost:1"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, check=False, capture_output=True, text=True, cwd=ROOT, timeout=400
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout.rpartition("found ")[2]))


@pytest.mark.slow
@pytest.mark.xdist_group("timm")
def test_groups_of_timm(timm: dict[str, Any]) -> None:
    """Each timm model has its groups, with every weight in one of them, and the head in the last."""
    for name, facts in timm.items():
        assert facts["all"], name
        assert facts["groups"] > 3, name
        assert facts["head is last"], name
        assert facts["1"] == f"1 of {facts['groups']} groups of layers frozen"
        assert facts["backbone"] == "the head alone trains"
        assert facts["changed backbone"] == facts["head"], name
    assert len(timm["deit_tiny_distilled_patch16_224"]["head"]) == 4


@pytest.mark.slow
@pytest.mark.xdist_group("timm")
def test_statistics_of_timm(timm: dict[str, Any]) -> None:
    """Statistics of frozen layers are not estimated; networks without batch normalisation have none."""
    for name in ("test_resnet", "test_efficientnet"):
        every, after_one, after_most, head_alone = timm[name]["statistics"]
        assert every > after_one > after_most >= head_alone == 0, name
    assert timm["test_vit"]["statistics"] == [0, 0, 0, 0]
