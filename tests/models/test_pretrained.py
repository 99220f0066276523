"""Weights of a file are read without running code, and put into a network as far as they fit."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor

from pipeline import paths
from pipeline.errors import CheckpointError
from pipeline.files import md5_of_file
from pipeline.models.checkpoint import CHECKPOINT, SPEC
from pipeline.models.network import Network, Spec, build
from pipeline.models.pretrained import PUBLISHED, begin, load

CLASSES = ("cat", "dog", "emu")
HEAD = {"8.weight", "8.bias"}
NAME = "weights"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project with a folder for weights."""
    monkeypatch.chdir(tmp_path)
    paths.WEIGHTS.mkdir(parents=True)


def spec(classes: tuple[str, ...] = CLASSES, mode: str = "grey", model: str = "small", size: int = 16) -> Spec:
    """What network to build."""
    return Spec(model=model, size=size, mode=mode, classes=classes)


def drawn(of: Spec, seed: int) -> Network:
    """The network of `of`, with weights drawn under `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(of)


def weights(of: Spec, seed: int = 1) -> dict[str, Tensor]:
    """Those of that network, by name."""
    return drawn(of, seed).body.state_dict()


def checkpoint(of: Spec, seed: int = 1) -> dict[str, Any]:
    """What is saved of a model of ours."""
    return {
        SPEC: of.as_kept(),
        "state_dict": {f"network.body.{name}": value for name, value in weights(of, seed).items()},
    }


def loaded(content: object, of: Spec | None = None) -> tuple[dict[str, Tensor], str]:
    """The weights of the network of `of` after those that PyTorch saves as `content` were loaded, and what was said."""
    torch.save(content, paths.WEIGHTS / NAME)
    network = drawn(of or spec(), 0)
    said = str(load(network, of or spec(), paths.WEIGHTS / NAME).fit)
    return network.body.state_dict(), said


def complaint(path: Path = paths.WEIGHTS / NAME) -> str:
    """What loading `path` complains of, in one line that names it."""
    with pytest.raises(CheckpointError) as raised:
        load(drawn(spec(), 0), spec(), path)
    said = str(raised.value)
    assert said.splitlines() == [said]
    return said


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "plain": lambda plain: plain,
    "nested": lambda plain: {"epoch": 3, "state_dict": plain},
    "averaged": lambda plain: {"state_dict": {name: 0 * value for name, value in plain.items()}, "model_ema": plain},
    "of DataParallel": lambda plain: {f"module.{name}": value for name, value in plain.items()},
    "in half": lambda plain: {name: value.half() if value.dim() else value for name, value in plain.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_state_dicts(wrap: Callable[[dict[str, Tensor]], Any]) -> None:
    """However training scripts save them, weights are found; the head stays as it is, whose classes are unknown."""
    given, fresh = weights(spec()), weights(spec(), seed=0)
    found, said = loaded(wrap(given))
    assert said == "60 of 60 tensors"
    for name, value in found.items():
        torch.testing.assert_close(value, fresh[name] if name in HEAD else given[name], rtol=1e-3, atol=1e-4)
        assert value.dtype == fresh[name].dtype


def test_head_by_class() -> None:
    """A model of ours says its classes: those that are here, too, have its rows, in any order; others are drawn."""
    theirs = spec(("emu", "fox", "cat"))
    found, said = loaded(checkpoint(theirs))
    assert said == "60 of 60 tensors, rows of 2 of its classes"
    fresh, given = weights(spec(), seed=0), weights(theirs)
    for name in HEAD:
        assert torch.equal(found[name], torch.stack([given[name][2], fresh[name][1], given[name][0]]))


def test_folder_of_a_model() -> None:
    """It is as good as its checkpoint, whose MD5 is told."""
    folder = paths.WEIGHTS / "model"
    folder.mkdir()
    torch.save(checkpoint(spec()), folder / CHECKPOINT)
    network, found = begin(spec(), "model", Path())
    assert found is not None
    assert (found.source, found.md5) == ("data/weights/model", md5_of_file(folder / CHECKPOINT))
    assert str(found).startswith(
        f"begins with data/weights/model ({found.md5[:8]}…), 60 of 60 tensors, rows of 3 of its"
    )
    for name, value in network.body.state_dict().items():
        assert torch.equal(value, weights(spec())[name])


def test_colours_in_grey() -> None:
    """Filters of three colours are summed for images of one channel."""
    given = weights(spec(mode="rgb"))
    found, said = loaded(given)
    assert said == "60 of 60 tensors"
    assert torch.equal(found["0.weight"], given["0.weight"].sum(1, keepdim=True))


def test_what_does_not_fit_is_listed() -> None:
    """Briefly: a few names of each kind, fit for a terminal, and how many more there are."""
    given = weights(spec())
    for name in [name for name in given if name.startswith("3.")]:
        del given[name]
    given["1.weight"] = torch.ones(3, 4)
    given |= {f"more\n{number}": torch.ones(1) for number in range(7)}
    given["2" * 500] = torch.ones(1)
    _, said = loaded(given)
    assert said.startswith("41 of 60 tensors; missing: 3.convolutions.0.weight, ")
    assert ", 10 more; unexpected: more\\n0, more\\n1, " in said
    assert said.endswith(", 3 more; of another shape: 1.weight 3 × 4")
    assert len(said) < 500


def test_drawn_weights() -> None:
    """Where nothing is asked for, PyTorch's generator draws the weights; nothing is kept."""
    torch.manual_seed(0)
    network, found = begin(spec(), False, Path())
    assert found is None
    assert all(torch.equal(value, weights(spec(), 0)[name]) for name, value in network.body.state_dict().items())
    assert not list(Path().rglob(PUBLISHED))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_is_not_run(legacy: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """A file that holds objects, a whole network say, is an error; nothing in it runs."""

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("code has run",)

    for content in (Hostile(), drawn(spec(), 1)):
        torch.save(content, paths.WEIGHTS / NAME, _use_new_zipfile_serialization=not legacy)
        said = complaint()
        assert "holds objects that could run code when they are loaded; do not trust where it comes from" in said
    assert capsys.readouterr().out == ""


def test_damaged_files() -> None:
    """Cut short, with a flipped bit, empty, or of another kind: an error that says what to do."""
    path = paths.WEIGHTS / NAME
    torch.save(checkpoint(spec()), path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:1000], bytes(flipped), pickle.dumps({})[:3]):
        path.write_bytes(content)
        assert ": damaged" in complaint()
        assert complaint().endswith("; put another file there, or set train.pretrained to false")
    for content in (b"", b"a photograph, say", b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(content)
        assert "neither of safetensors nor of PyTorch" in complaint()
    assert "no such file; put it there, or run `dvc pull`" in complaint(paths.WEIGHTS / "none")
    (paths.WEIGHTS / "folder").mkdir()
    assert "no such file" in complaint(paths.WEIGHTS / "folder")


def test_weights_of_no_use() -> None:
    """Those of another network, no names, what is not finite, and what is larger than its file are errors."""
    path = paths.WEIGHTS / NAME
    given = weights(spec())
    for content in (
        {"fc.weight": torch.ones(3, 4)},
        {},
        {name: value.new_zeros(1).expand(10**6) for name, value in given.items()},
    ):
        torch.save(content, path)
        assert "is not of small: it has 0 of 60 tensors" in complaint()
        assert complaint().endswith("; set train.model to the network that it is of, or train.pretrained to false")
    torch.save([1], path)
    assert "holds no weights by name; save the model's state_dict()" in complaint()
    torch.save(given | {"0.weight": given["0.weight"] / 0}, path)
    assert "holds weights that are not finite" in complaint()


@pytest.mark.slow
def test_files_of_safetensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are known by their bytes, and read by their library; damaged ones are an error."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    from safetensors.torch import save_file

    path = paths.WEIGHTS / NAME
    save_file(weights(spec()), path)
    network = drawn(spec(), 0)
    assert load(network, spec(), path).fit.fitted == 60
    whole = path.read_bytes()
    for content in (whole[:1000], whole[:8] + b"{" * 100, (10**12).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        assert "damaged (SafetensorError)" in complaint()


@pytest.mark.slow
def test_networks_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey images, another number of classes and another size: as timm adapts its own published weights."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    import timm

    for name, size in (("test_resnet", 64), ("test_vit3", 96)):
        torch.manual_seed(1)
        given = timm.create_model(name, num_classes=1000).state_dict()
        torch.save(given, paths.WEIGHTS / NAME)
        ours = spec(model=f"timm/{name}", size=size)
        network, found = begin(ours, NAME, Path())
        assert found is not None
        assert found.fit.fitted == found.fit.among
        sized = {"img_size": size} if name == "test_vit3" else {}
        theirs = timm.create_model(
            name, pretrained=True, num_classes=3, in_chans=1, pretrained_cfg_overlay={"state_dict": given}, **sized
        )
        for key, value in theirs.state_dict().items():
            if not key.startswith(("fc.", "head.")):
                assert torch.equal(network.body.state_dict()[key], value), key
