"""Compare the images that ingest has read with those of the last training."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import ROOT

from pipeline import parquet, paths
from pipeline.commands.status.pending import Pending, pending
from pipeline.images import index
from pipeline.params import read_params
from pipeline.splits.assignment import split_of
from pipeline.versioning.lock import StageRecord

PARAMS = read_params(ROOT / "params.yaml")
# Keys, and thus ids, of which the first ones are for training and the others for validation.
KEYS = [f"{number:016x}" for number in range(0, 2**63, 2**57)]
TRAIN, VAL = ([key for key in KEYS if split_of(key, PARAMS.manifest) == name] for name in ("train", "val"))


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)
    paths.MANIFEST.mkdir(parents=True)


def ingested(labels: dict[str, str], source: Callable[[str], str] = str) -> None:
    """Write data/images with images of these keys and labels."""
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    columns = {"id": [*labels], "label": [*labels.values()], "md5": [*labels], "key": [*labels]}
    columns["source"] = [source(key) for key in labels]
    columns["attributes"] = [""] * len(labels)
    empty = pa.nulls(len(labels))
    columns = {name: columns.get(name, empty) for name in index.SCHEMA.names}
    parquet.write_tables({index.INDEX: pa.table(columns).cast(index.SCHEMA)})


def trained(train: dict[str, str], val: dict[str, str]) -> StageRecord:
    """Return the record of a training on these images, with its manifests in the workspace."""
    deps = {}
    for name, labels in (("train", train), ("val", val)):
        path = paths.MANIFEST / f"{name}.csv"
        lines = [f"{one},{label},{one}\n" for one, label in sorted(labels.items())]
        path.write_text("".join(["id,label,md5\n", *lines]))
        deps[path.as_posix()] = hashlib.md5(path.read_bytes()).hexdigest()
    return StageRecord(deps=deps, outs={})


def labelled(keys: list[str], label: str = "cat") -> dict[str, str]:
    """Return all `keys` with one label."""
    return dict.fromkeys(keys, label)


def test_nothing_is_pending() -> None:
    """If data/images still contains what was trained on, nothing is pending."""
    record = trained(labelled(TRAIN[:6]), labelled(VAL[:2]))
    ingested(labelled(TRAIN[:6] + VAL[:2]))
    assert pending({"train": record}, PARAMS) == Pending(
        new=0, removed=0, relabelled=0, classes="", total=6, changes_training=False
    )


def test_new_gone_and_relabelled() -> None:
    """New, removed and relabelled training images are counted."""
    record = trained(labelled(TRAIN[:6]), labelled(VAL[:2]))
    ingested(labelled(TRAIN[1:9] + VAL[:1]) | labelled(TRAIN[3:4], "dog"))
    assert pending({"train": record}, PARAMS) == Pending(
        new=3, removed=1, relabelled=1, classes="", total=8, changes_training=True
    )


def test_another_image_for_validation() -> None:
    """A new validation image changes the training, which measures on it; a near-duplicate that is left out does not."""
    record = trained(labelled(TRAIN[:6]), labelled(VAL[:2]))
    ingested(labelled(TRAIN[:6] + VAL[:3]))
    found = pending({"train": record}, PARAMS)
    assert found is not None
    assert found.changes_training
    paths.LEAKS.write_text(f"id,label,split,source,like,like_source\n{VAL[2]},cat,val,a,{TRAIN[0]},b\n")
    assert pending({"train": record}, PARAMS) == found._replace(changes_training=False)


def test_other_splits() -> None:
    """Changed params of the manifest are taken into account."""
    record = trained(labelled(TRAIN[:6]), labelled(VAL[:2]))
    ingested(labelled(TRAIN[:6] + VAL[:2]))
    split = PARAMS.manifest.split.model_copy(update={"val": 0.0, "test": 0.0})
    manifest = PARAMS.manifest.model_copy(update={"split": split})
    found = pending({"train": record}, PARAMS.model_copy(update={"manifest": manifest}))
    assert found is not None
    assert (found.new, found.total, found.changes_training) == (2, 8, True)


def test_other_groups() -> None:
    """Images that change splits are counted, also in test; those of the last training are named."""
    record = trained(labelled(TRAIN[:6]), labelled(VAL[:2]))
    ingested(labelled(TRAIN[:6] + VAL[:2]), lambda key: f"cat/p/{key}.png")
    manifest = StageRecord(deps={}, outs=record.deps, params={"manifest": PARAMS.manifest.model_dump()})
    split = PARAMS.manifest.split.model_copy(update={"group": "folder", "val": 0.0, "test": 0.99})
    params = PARAMS.model_copy(update={"manifest": PARAMS.manifest.model_copy(update={"split": split})})
    found = pending({"train": record, "manifest": manifest}, params)
    assert found is not None
    assert (found.total, found.switched, found.held_out) == (0, 8, tuple(TRAIN[:6]))
