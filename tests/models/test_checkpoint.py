"""Reading a checkpoint runs no code in it, and a damaged one is a one-line error."""

import os
import pickle
import shlex
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import CheckpointError
from pipeline.models.checkpoint import (
    CHECKPOINT,
    RESPONSE,
    SPEC,
    canonical,
    grow,
    read_checkpoint,
    read_network,
    respond,
    spec_of,
)
from pipeline.models.network import Spec, build

SPEC_HERE = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
CONTENT = {
    SPEC: SPEC_HERE.as_kept(),
    "state_dict": {"a": torch.arange(40.0), "b": torch.ones(3, 2, dtype=torch.bfloat16)},
    "epoch": 3,
}


class Malice:
    """An object that creates the file `created` when it is unpickled."""

    def __init__(self, created: Path) -> None:
        self.created = created

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (shlex.join(["touch", str(self.created)]),)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the folder of a model with a small checkpoint."""
    folder = tmp_path / "model"
    folder.mkdir()
    torch.save(CONTENT, folder / CHECKPOINT)
    return folder


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints have the same content."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def complaint(model: Path) -> str:
    """Return the error of reading the checkpoint, which is one line that names the file."""
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(model)
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.startswith(f"{model / CHECKPOINT}: ")
    return said


def test_checkpoints_come_back(model: Path) -> None:
    """A checkpoint is read back as saved."""
    assert same(read_checkpoint(model), CONTENT)


def test_same_checkpoint_is_the_same_bytes(model: Path, tmp_path: Path) -> None:
    """Another save has the same bytes, without time or path."""
    (tmp_path / "other").mkdir()
    torch.save(CONTENT, tmp_path / "other" / CHECKPOINT)
    assert (tmp_path / "other" / CHECKPOINT).read_bytes() == (model / CHECKPOINT).read_bytes()


def test_no_file(tmp_path: Path) -> None:
    """A missing checkpoint is an error with the command that fetches it."""
    assert "no such file; run `dvc checkout`" in complaint(tmp_path)


def test_cut_checkpoints(model: Path) -> None:
    """A checkpoint truncated anywhere is an error."""
    path = model / CHECKPOINT
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        complaint(model)


@pytest.mark.parametrize("change", [0xFF, 0x01])
def test_damaged_checkpoints(model: Path, change: int) -> None:
    """A checkpoint with a changed byte is an error, or equal; it is never read as another one."""
    path = model / CHECKPOINT
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
        try:
            read = read_checkpoint(model)
        except CheckpointError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 (both outcomes are fine)
        else:
            assert same(read, CONTENT)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"<html>404</html>", b"PK\3\4", bytes(5000), b"\x80", b"\x80\x02.", b"\x80\x02K\x03."]
)
def test_other_files(model: Path, data: bytes) -> None:
    """A file of another kind is an error."""
    (model / CHECKPOINT).write_bytes(data)
    complaint(model)


@pytest.mark.parametrize(
    "save",
    [
        torch.save,
        lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
        lambda content, path: path.write_bytes(pickle.dumps(content)),
        lambda content, path: path.write_bytes(pickle.dumps(content, protocol=0)),
    ],
    ids=["zip", "legacy", "pickle", "old pickle"],
)
@pytest.mark.parametrize("where", ["alone", "as value", "as key", "in state"])
def test_malice_is_not_run(model: Path, tmp_path: Path, save: Callable[[Any, Path], Any], where: str) -> None:
    """A checkpoint that would run code when loaded is refused without running it."""
    created = tmp_path / "created"
    malice = Malice(created)
    contents: dict[str, Any] = {
        "alone": malice,
        "as value": {**CONTENT, "callbacks": malice},
        "as key": {**CONTENT, malice: 1},
        "in state": {**CONTENT, "state_dict": {"a": torch.ones(2), "b": [malice]}},
    }
    save(contents[where], model / CHECKPOINT)
    complaint(model)
    assert not created.exists()
    assert pickle.loads(pickle.dumps(malice)) == 0  # noqa: S301 (that it would have run is what this shows)
    assert created.exists()


def test_malice_is_named(model: Path, tmp_path: Path) -> None:
    """The error says not to trust such a file."""
    torch.save({**CONTENT, "callbacks": Malice(tmp_path / "created")}, model / CHECKPOINT)
    assert "could run code" in complaint(model)


@pytest.mark.parametrize("content", [[CONTENT], torch.ones(2), "text", 3, None])
def test_other_contents(model: Path, content: object) -> None:
    """A file that PyTorch can load, but that is no checkpoint, is an error."""
    torch.save(content, model / CHECKPOINT)
    complaint(model)


def test_spec_is_read(model: Path) -> None:
    """The spec of the network is read from a checkpoint."""
    assert spec_of(read_checkpoint(model), model) == SPEC_HERE


@pytest.mark.parametrize(
    "change", [{SPEC: None}, {SPEC: {}}, {SPEC: 3}, {SPEC: {**CONTENT[SPEC], "unknown": 1}}]  # type: ignore[dict-item]
)  # fmt: skip
def test_spec_of_another_form(tmp_path: Path, change: dict[str, Any]) -> None:
    """A checkpoint without a valid spec is an error with a hint."""
    with pytest.raises(CheckpointError, match="pipeline fresh"):
        spec_of({**CONTENT, **change}, tmp_path)
    with pytest.raises(CheckpointError, match="does not record"):
        spec_of({}, tmp_path)


def test_networks_predict_as_they_were_trained(model: Path) -> None:
    """A saved network gives the same logits when it is read."""
    network = build(SPEC_HERE)
    network.train()
    images = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8)
    network(images)  # Changes the statistics of the normalisation.
    network.eval()
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({**CONTENT, "state_dict": weights}, model / CHECKPOINT)
    read, spec = read_network(model)
    assert spec == SPEC_HERE
    assert not read.training
    with torch.inference_mode():
        assert torch.equal(read(images), network(images))


def test_weights_of_another_function(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that builds layers of the same shapes, but computes another function, is detected."""
    network = build(SPEC_HERE).eval()
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({**CONTENT, "state_dict": weights, RESPONSE: respond(network, SPEC_HERE)}, model / CHECKPOINT)
    read_network(model)
    monkeypatch.setattr(nn, "ReLU", lambda **_: nn.GELU())
    with pytest.raises(
        CheckpointError, match="the code of small no longer computes the function that was trained; undo"
    ):
        read_network(model)


@pytest.mark.parametrize("shape", [(2,), (2, 5), (2, 3, 3, 3)])
def test_growing_keeps_what_was_there(shape: tuple[int, ...]) -> None:
    """Old rows are kept bit for bit; new ones are the new model's; the dtype is the old one's."""
    old, like = torch.randn(shape).to(torch.bfloat16), torch.randn((4, *shape[1:]))
    grown = grow(old, like)
    assert grown.shape == like.shape
    assert grown.dtype == old.dtype
    assert torch.equal(grown[:2], old)
    assert torch.equal(grown[2:], like[2:].to(old.dtype))


def test_nothing_to_grow() -> None:
    """Tensors of the right size, and scalars such as an optimizer's step, do not change."""
    old = torch.randn(3, 2)
    assert torch.equal(grow(old, torch.randn(3, 2)), old)
    step = torch.tensor(7.0)
    assert grow(step, torch.randn(3, 2)) is step


def test_byte_order_is_little_endian(model: Path) -> None:
    """Checkpoints have the same bytes on all supported machines."""
    assert struct.pack("=I", 1) == struct.pack("<I", 1)
    assert b"little" in (model / CHECKPOINT).read_bytes()


@pytest.mark.parametrize(
    "weights",
    [
        None,
        {},
        [],
        {"network.a": torch.ones(1)},
        build(Spec(model="small", size=8, mode="rgb", classes=("a",))).state_dict(),
    ],
    ids=["none", "empty", "a list", "others", "another network's"],
)
def test_weights_of_another_network(model: Path, weights: Any) -> None:
    """Weights of another network are a one-line error with the file and a hint."""
    content = {key: value for key, value in {**CONTENT, "state_dict": weights}.items() if value is not None}
    torch.save(content, model / CHECKPOINT)
    with pytest.raises(CheckpointError, match="does not contain the weights of small as the code builds it now; undo"):
        read_network(model)


def test_layout_of_tensors_changes_no_byte(tmp_path: Path) -> None:
    """A GPU trains with another memory layout of filters; the written layout is always the same."""
    filters = torch.arange(4 * 3 * 2 * 2.0).reshape(4, 3, 2, 2)
    written = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.save(canonical({"weight": filters.contiguous(memory_format=layout)}), tmp_path / "checkpoint")
        written.append((tmp_path / "checkpoint").read_bytes())
    assert written[0] == written[1]
