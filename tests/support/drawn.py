"""Models with random weights instead of trained ones, in folders as training writes them."""

from pathlib import Path
from shutil import copyfile
from typing import Any

import pandas as pd
import torch
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.lineage.lineage import Budget, Epochs, ImageCounts, Lineage, write_lineage
from pipeline.lineage.seen_images import NOTHING, write_seen
from pipeline.models.checkpoint import CHECKPOINT, SPEC
from pipeline.models.network import Spec, build

CLASSES = ("cat", "dog", "emu")


def save_drawn(
    folder: Path, *, mode: str = "rgb", size: int = 8, classes: tuple[str, ...] = CLASSES, base: str | None = None
) -> Spec:
    """Save a small network whose outputs differ between images; it has seen two images of the first class."""
    spec = Spec(model="small", size=size, mode=mode, classes=classes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = build(spec).state_dict()
    state["body.8.weight"] *= 8
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"network.{name}": value for name, value in state.items()}
    torch.save({SPEC: spec.as_kept(), "state_dict": weights}, folder / CHECKPOINT)
    counts, budget = ImageCounts(total=2, new=2, removed=0, relabelled=0), Budget(run=5, total=10)
    lineage = Lineage(
        generation=2 if base else 1,
        start="warm" if base else "cold",
        reason="2 of 2 training images are new",
        base=base,
        images=counts,
        epochs=Epochs(run=5, total=10),
        steps=budget,
    )
    write_lineage(lineage, folder)
    write_seen(NOTHING.then(pd.Series([classes[0]] * 2, index=["0" * 32, "1" * 32], dtype=str)), folder)
    return spec


def set_params(**sections: dict[str, Any]) -> None:
    """Write this repository's params.yaml with the keys of `sections` changed; one process decodes, on the CPU."""
    if not paths.PARAMS.exists():
        copyfile(ROOT / "params.yaml", paths.PARAMS)
    yaml = YAML()
    params = yaml.load(paths.PARAMS)
    for section, values in {"compute": {}, **sections}.items():
        params[section].update(values)
    params["compute"].update({"workers": 1, "accelerator": "cpu"})
    yaml.dump(params, paths.PARAMS)
