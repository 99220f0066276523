"""Weights of a file are loaded without running code, as far as they fit a network."""

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
    """Make an empty project with a folder for weights."""
    monkeypatch.chdir(tmp_path)
    paths.WEIGHTS.mkdir(parents=True)


def spec(classes: tuple[str, ...] = CLASSES, mode: str = "grey", model: str = "small", size: int = 16) -> Spec:
    """Return the spec of a network."""
    return Spec(model=model, size=size, mode=mode, classes=classes)


def drawn(of: Spec, seed: int) -> Network:
    """Return the network of `of` with random weights from `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(of)


def weights(of: Spec, seed: int = 1) -> dict[str, Tensor]:
    """Return the weights of that network by name."""
    return drawn(of, seed).body.state_dict()


def checkpoint(of: Spec, seed: int = 1) -> dict[str, Any]:
    """Return the content of a checkpoint of one of our models."""
    return {
        SPEC: of.as_kept(),
        "state_dict": {f"network.body.{name}": value for name, value in weights(of, seed).items()},
    }


def loaded(content: object, of: Spec | None = None) -> tuple[dict[str, Tensor], str]:
    """Return the weights of the network of `of` after loading `content`, and the messages."""
    torch.save(content, paths.WEIGHTS / NAME)
    network = drawn(of or spec(), 0)
    said = str(load(network, of or spec(), paths.WEIGHTS / NAME).fit)
    return network.body.state_dict(), said


def complaint(path: Path = paths.WEIGHTS / NAME) -> str:
    """Return the error of loading `path`, which is one line that names it."""
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
    """Weights are found in any form that training scripts save; the head of unknown classes is not loaded."""
    given, fresh = weights(spec()), weights(spec(), seed=0)
    found, said = loaded(wrap(given))
    assert said == "60 of 60 tensors"
    for name, value in found.items():
        torch.testing.assert_close(value, fresh[name] if name in HEAD else given[name], rtol=1e-3, atol=1e-4)
        assert value.dtype == fresh[name].dtype


def test_head_by_class() -> None:
    """Rows of the classes in our checkpoint are loaded for equal classes in any order; other rows stay random."""
    theirs = spec(("emu", "fox", "cat"))
    found, said = loaded(checkpoint(theirs))
    assert said == "60 of 60 tensors, rows of 2 of its classes"
    fresh, given = weights(spec(), seed=0), weights(theirs)
    for name in HEAD:
        assert torch.equal(found[name], torch.stack([given[name][2], fresh[name][1], given[name][0]]))


def test_folder_of_a_model() -> None:
    """A model's folder works like its checkpoint, whose MD5 is reported."""
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
    """Filters of three colours are summed for grey images."""
    given = weights(spec(mode="rgb"))
    found, said = loaded(given)
    assert said == "60 of 60 tensors"
    assert torch.equal(found["0.weight"], given["0.weight"].sum(1, keepdim=True))


def test_what_does_not_fit_is_listed() -> None:
    """Weights that do not fit are listed briefly: a few names of each kind, and the number of others."""
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
    """Without pretrained weights PyTorch's generator is used; nothing is stored."""
    torch.manual_seed(0)
    network, found = begin(spec(), False, Path())
    assert found is None
    assert all(torch.equal(value, weights(spec(), 0)[name]) for name, value in network.body.state_dict().items())
    assert not list(Path().rglob(PUBLISHED))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_is_not_run(legacy: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """A file with objects, such as a whole network, is an error, and none of its code runs."""

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("code has run",)

    for content in (Hostile(), drawn(spec(), 1)):
        torch.save(content, paths.WEIGHTS / NAME, _use_new_zipfile_serialization=not legacy)
        said = complaint()
        assert "holds objects that could run code when they are loaded; do not trust where it comes from" in said
    assert capsys.readouterr().out == ""


def test_damaged_files() -> None:
    """Truncated, changed, empty and foreign files are errors with a hint."""
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
    """Weights of another network, without names, not finite, or larger than their file are errors."""
    path = paths.WEIGHTS / NAME
    given = weights(spec())
    for content in (
        {"fc.weight": torch.ones(3, 4)},
        {},
        {name: value.new_zeros(1).expand(10**6) for name, value in given.items()},
    ):
        torch.save(content, path)
        assert "does not fit small: it has 0 of 60 tensors" in complaint()
        assert complaint().endswith("; set train.model to its network, or train.pretrained to false")
    torch.save([1], path)
    assert "holds no weights by name; save the model's state_dict()" in complaint()
    torch.save(given | {"0.weight": given["0.weight"] / 0}, path)
    assert "holds weights that are not finite" in complaint()


@pytest.mark.slow
def test_files_of_safetensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safetensors files are recognised by their bytes; damaged ones are errors."""
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
    """For grey images, other classes and another size, weights are adapted as by timm."""
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
