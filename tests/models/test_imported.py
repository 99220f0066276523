"""Networks built by a project's own code: requirements, and errors if they do not hold."""

import random
import sys
from pathlib import Path

import pytest
import torch
from support.own import NET, write_package
from torch import nn

from pipeline.errors import CheckpointError, ParamError
from pipeline.models.checkpoint import CHECKPOINT, RESPONSE, SPEC, network_of, read_network, respond
from pipeline.models.features import head_of, look
from pipeline.models.imported import check_outputs, function_of
from pipeline.models.layers import head_weights
from pipeline.models.network import Network, Spec, build, rows_of_classes

NAME = "mine.nets:build"
START = "import random\nimport torch\nfrom torch import nn\n\n\ndef build(*, channels, classes, size):\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)


def spec(classes: int = 3) -> Spec:
    """Return the spec of the network."""
    return Spec(model=NAME, size=8, mode="grey", classes=tuple(f"class {number}" for number in range(classes)))


def built(monkeypatch: pytest.MonkeyPatch, text: str) -> Network:
    """Return the network of the function `build` in mine/nets.py with this text."""
    write_package(monkeypatch, nets=text)
    return build(spec())


def complaint(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """Return the error of building it."""
    with pytest.raises(ParamError) as raised:
        built(monkeypatch, text)
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.startswith(f"{NAME}: ")
    return said.removeprefix(f"{NAME}: ")


def test_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network maps uint8 to logits; no files are written next to the code, and layers keep their modes."""
    network = built(monkeypatch, NET)
    assert network(torch.zeros(5, 1, 8, 8, dtype=torch.uint8)).shape == (5, 3)
    assert network.training
    assert [path.name for path in Path("mine").iterdir()] == ["nets.py"]
    assert rows_of_classes(spec()) == {"body.3.weight", "body.3.bias"}


def test_checking_draws_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks do not change the random weights, or the random numbers after them."""
    write_package(monkeypatch, nets=NET)
    torch.manual_seed(0)
    network, after = build(spec()), torch.rand(1)
    torch.manual_seed(0)
    plain = function_of(NAME)(channels=1, classes=3, size=8)
    assert torch.equal(after, torch.rand(1))
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in network.body.state_dict().items())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "mine/nets.py has no function 'build'; correct the name, or write it"),
        ("build = 1\n", "mine/nets.py has no function 'build'; correct the name, or write it"),
        ("\nimport nowhere\n", "mine/nets.py:2: ModuleNotFoundError: No module named 'nowhere'; correct it"),
        ("def f():\n    return 1 / 0\n\n\nf()\n", "mine/nets.py:2: ZeroDivisionError: division by zero; correct it"),
        ("raise SystemExit(3)\n", "mine/nets.py:1: SystemExit: 3; correct it"),
        ("def build(classes):\n    pass\n", "its signature does not fit (got an unexpected keyword argument 'chan"),
        (f"{START}    return None\n", "it returns nothing; return a torch.nn.Module"),
        (f"{START}    return 1\n", "it returns something of type int; return a torch.nn.Module"),
        (f"{START}    return nn.Linear(1, 'x')\n", "mine/nets.py:7: TypeError: "),
        (f"{START}    return nn.Flatten()\n", "for 2 images it returns (2, 64) instead of logits of shape (2, 3)"),
        (f"{START}    return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))\n", "RuntimeError: "),
    ],
)
def test_what_does_not_work(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    """An invalid network is a one-line error with the place and a hint."""
    assert complaint(monkeypatch, text).startswith(said)


LAYER = """
import random
import time
import torch
from torch import nn


class Layer(nn.Module):
    calls = 0

    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(64, classes)

    def forward(self, images):
        Layer.calls += 1
        logits = self.head(images.flatten(1))
        return {}


def build(*, channels, classes, size):
    return Layer(classes)
"""


@pytest.mark.parametrize(
    "hostile",
    [
        "logits + torch.rand(3)",
        "logits * random.random()",
        "logits + Layer.calls",
        "logits + time.perf_counter_ns() % 1000",
        "nn.functional.dropout(logits, 0.5)",
    ],
)
def test_other_logits_each_time(monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    """Random numbers and external state in evaluation are refused at once."""
    said = complaint(monkeypatch, LAYER.format(hostile))
    assert said.startswith("in evaluation it gives the same images other logits each time; let random numbers and")
    built(monkeypatch, LAYER.format("nn.functional.dropout(logits, 0.5, self.training)"))


class Dropping(nn.Module):
    """Drops some of three logits, also in evaluation."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (images, 3)."""
        return nn.functional.dropout(images.flatten(1)[:, :3], 0.5)


def test_few_random_numbers_are_detected() -> None:
    """Dropout of few logits, whose mask is often the same twice, is refused whatever the random numbers are."""
    for seed in range(500):
        torch.manual_seed(seed)
        with pytest.raises(ParamError, match="other logits each time"):
            check_outputs(NAME, Dropping(), torch.ones(2, 1, 8, 8), 3)


@pytest.mark.parametrize(
    ("hostile", "found"),
    [("logits[:, :2]", "(2, 2)"), ("(logits, logits)", "something of type tuple"), ("logits.mean(0)", "(3,)")],
)
def test_other_shapes(monkeypatch: pytest.MonkeyPatch, hostile: str, found: str) -> None:
    """An error about shapes contains both."""
    said = complaint(monkeypatch, LAYER.format(hostile))
    assert said.startswith(f"for 2 images it returns {found} instead of logits of shape (2, 3); give its last layer")


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        (NET.replace("4", "4 * classes"), "body.1.bias has the shape (12,) for 3 classes, and (16,) for one more"),
        (NET.replace("4)", "4, bias=classes > 3)"), "body.1.bias exists for some numbers of classes only"),
    ],
)
def test_what_could_not_grow(monkeypatch: pytest.MonkeyPatch, text: str, weight: str) -> None:
    """Weights that depend on the classes in another way than a row per class are named."""
    built(monkeypatch, text)
    with pytest.raises(ParamError) as raised:
        rows_of_classes(spec())
    assert str(raised.value).startswith(f"{NAME}: {weight}; let the last layer alone depend on `classes`")


def test_a_name_that_python_has_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with the name of a standard module is not confused with it."""
    write_package(monkeypatch)
    Path("random.py").write_text("def build(): ...\n")
    with pytest.raises(ParamError, match=r"random:build: Python has another module of that name \(.*random.py\)"):
        function_of("random:build")
    assert sys.modules["random"] is random


@pytest.mark.parametrize("name", ["os:system", "torch.nn:Linear", "subprocess:run", "pipeline.train:train"])
def test_checkpoints_cannot_name_anything_else(name: str) -> None:
    """Code named by a foreign checkpoint is imported only from the project's folder."""
    Path("model").mkdir()
    torch.save({SPEC: {**spec().model_dump(mode="json"), "model": name}, "state_dict": {}}, Path("model", CHECKPOINT))
    with pytest.raises(ParamError, match=rf"{name}: (no file|pipeline is)"):
        read_network(Path("model"))


def checkpoint(network: Network) -> dict[str, object]:
    """Return a checkpoint of the trained `network`."""
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    return {SPEC: spec().model_dump(mode="json"), "state_dict": weights, RESPONSE: respond(network.eval(), spec())}


def test_edited_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another function with the same weights is refused unless requested; other shapes are an error with the weight."""
    kept = checkpoint(built(monkeypatch, NET))
    network_of(kept, Path("model"))
    write_package(monkeypatch, nets=NET.replace("ReLU", "Tanh"))
    with pytest.raises(
        CheckpointError,
        match=r"the code of mine\.nets:build no longer computes the function that was trained.*`dvc repro`",
    ):
        network_of(kept, Path("model"))
    network_of(kept, Path("model"), edited=True)
    write_package(monkeypatch, nets=NET.replace("4", "5"))
    for edited in (False, True):
        with pytest.raises(CheckpointError) as raised:
            network_of(kept, Path("model"), edited=edited)
        what = "1.weight has the shape (4, 64) in it, and has the shape (5, 64) in the code"
        assert str(raised.value).endswith(f": {what}; undo that edit, or run `pipeline fresh` to train from scratch")


def test_features_are_what_the_head_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are the input of the last linear layer with an output per class, or the logits if there is none."""
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    network = built(monkeypatch, NET).eval()
    head = head_of(network)
    assert isinstance(head, nn.Linear)
    seen = look(network, images)
    assert seen.features.shape == (4, 4)
    assert torch.allclose(head(seen.features), seen.logits)
    last = "nn.Unflatten(1, (4, 1, 1)), nn.Conv2d(4, classes, 1), nn.Flatten())"
    network = built(monkeypatch, NET.replace("nn.Linear(4, classes))", last).replace("4", "3")).eval()
    assert head_of(network) is None  # Although the layer before it has as many outputs as there are classes.
    seen = look(network, images)
    assert torch.equal(seen.features, seen.logits)


HEADS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.head = nn.Linear(3, classes)
        self.hidden = nn.Linear(channels * 64, 3)

    def forward(self, images):
        return self.head(self.hidden(images.reshape(len(images), -1)).relu())


def build(*, channels, classes, size):
    return Net(channels, classes)
"""


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_head_is_what_grows_with_the_classes(monkeypatch: pytest.MonkeyPatch, classes: int) -> None:
    """The head is found even if a later layer happens to have as many outputs."""
    write_package(monkeypatch, nets=HEADS)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    function_of(NAME)(channels=1, classes=classes, size=8)
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    network = build(spec(classes))
    assert torch.equal(torch.get_rng_state(), after)
    assert head_of(network) is network.body.head
    assert head_weights(network) == {"body.head.weight", "body.head.bias"}
