"""Two models are compared bit by bit, and differences are reported with their size."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.history.comparison import changes, differences
from pipeline.errors import CheckpointError
from pipeline.lineage.lineage import LINEAGE
from pipeline.lineage.seen_images import NOTHING, write_seen
from pipeline.models.checkpoint import CHECKPOINT


def checkpoint(**more: Any) -> dict[str, Any]:
    """Return what Lightning saves for a tiny network."""
    weights = {"network.a": torch.tensor([1.0, math.nan]), "network.b": torch.tensor(0.0)}
    state = {0: {"exp_avg": torch.zeros(2), "step": torch.tensor(3.0)}}
    rest = {"epoch": 2, "global_step": 6, "loops": {"fit": [1, 2]}, "spec": {"size": 8}, "lr_schedulers": []}
    return {"state_dict": weights, "optimizer_states": [{"state": state}], **rest, **more}


def save(
    folder: Path, saved: dict[str, Any], labels: dict[str, str] | None = None, earlier: dict[str, str] | None = None
) -> Path:
    """Save a model with this checkpoint in `folder`."""
    folder.mkdir(exist_ok=True)
    torch.save(saved, folder / CHECKPOINT)
    (folder / LINEAGE).write_text(json.dumps({"steps": len(labels or {})}))
    before = NOTHING.then(pd.Series(earlier or {}, dtype=str))
    write_seen(before.then(pd.Series(labels or {}, dtype=str)), folder)
    return folder


def test_same_values_in_other_bytes(tmp_path: Path) -> None:
    """Checkpoints with different bytes but equal values, including NaN, do not differ."""
    first = save(tmp_path / "a", checkpoint())
    second = save(tmp_path / "b", dict(reversed(checkpoint().items())))
    assert (first / CHECKPOINT).read_bytes() != (second / CHECKPOINT).read_bytes()
    assert differences(first, second) == {}


def test_parts(tmp_path: Path) -> None:
    """Each part is reported separately: weights, moments, counters, settings, lineage, images seen."""
    other = checkpoint(global_step=7, spec={"size": 9}, loops={"fit": [1, 5]})
    other["state_dict"] = {"network.a": torch.tensor([1.25, 0.0]), "network.b": torch.tensor(-0.0)}
    other["optimizer_states"][0]["state"][0]["step"] += 1
    a, b, c = (letter * 32 for letter in "abc")
    found = differences(
        save(tmp_path / "then", checkpoint(), {a: "cat"}, {c: "cat"}),
        save(tmp_path / "now", other, {a: "dog", b: "cat"}),
    )
    said = {part: str(difference) for part, difference in found.items()}
    assert math.isnan(found["weights"].largest)
    assert said == {
        "weights": "2 of 2 tensors, by up to nan",
        "moments": "1 of 2 tensors, by up to 1",
        "counters": "global_step 6 then, 7 now and 1 more",
        "settings": "spec.size 8 then, 9 now",
        "lineage": "steps 1 then, 2 now",
        "seen": "1 image more now and 2 more",
    }


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    st.integers(0, 7),
    st.floats(-100, 100, width=32),
)
def test_the_largest_difference(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], place: int, change: float
) -> None:
    """The size of any changed number is found; without a changed bit there is no difference."""
    folder = tmp_path_factory.getbasetemp()
    then, now = torch.tensor(values), torch.tensor(values)
    now[place % len(values)] += change
    found = differences(
        save(folder / "x", checkpoint(state_dict={"w": then})), save(folder / "y", checkpoint(state_dict={"w": now}))
    )
    if then.view(torch.int32).equal(now.view(torch.int32)):
        assert found == {}
    else:
        assert found["weights"].largest == float((then.double() - now.double()).abs().max())


@pytest.mark.parametrize("other", [{}, {"w": torch.zeros(3)}, {"w": 1.0}])
def test_other_shapes(tmp_path: Path, other: dict[str, Any]) -> None:
    """A tensor that is missing, has another shape, or is no tensor any more has an infinite difference."""
    first = save(tmp_path / "a", checkpoint(state_dict={"w": torch.zeros(2)}))
    found = differences(first, save(tmp_path / "b", checkpoint(state_dict=other)))
    assert found["weights"].largest == math.inf


def test_changes() -> None:
    """New, removed and changed values are named; others are not."""
    then, now = {"torch": "2.15.0", "threads": 2, "old": 1}, {"torch": "2.16.0", "threads": 2, "new": "x"}
    expected = ["torch 2.15.0 then, 2.16.0 now", "old 1 then, nothing now", "new nothing then, x now"]
    assert changes(then, now) == expected


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_lineage_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    """An unreadable lineage is an error that replaying can report."""
    first, second = (save(tmp_path / name, checkpoint()) for name in "ab")
    (second / LINEAGE).write_text(content)
    with pytest.raises(CheckpointError):
        differences(first, second)
