"""Stage 2: data/images → data/manifest and data/base. Draws the splits, and decides what training starts from.

Run by `dvc repro`, or alone as `python -m pipeline.manifest`.
"""

import shutil
from pathlib import Path

import pandas as pd

from pipeline import base, index, paths
from pipeline.errors import ImagesError
from pipeline.params import Params
from pipeline.seen import NOTHING, read_seen
from pipeline.splits import NAMES, splits_of
from pipeline.stage import main

COLUMNS = ["id", "label", "md5"]


def manifest(params: Params) -> str:
    """Write the manifests and the base; returns what they come to."""
    images = index.read_table(index.INDEX, index.SCHEMA, [*COLUMNS, "key"]).to_pandas().set_index("id", drop=False)
    images["split"] = list(splits_of(images["key"], params.manifest))
    train = images.loc[images["split"] == "train", "label"]
    if train.nunique() < 2:
        what = f"{train.nunique()} classes among the {len(train)} training images"
        raise ImagesError(paths.RAW, what, "add images: at least two classes are needed to tell apart")

    aside = paths.PROGRESS / "manifest"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in NAMES:
        _write(images[images["split"] == name], aside / f"{name}.csv")

    held_out = images.index[images["split"] != "train"]

    def admits(model: Path) -> bool:
        seen = read_seen(model).ids
        if params.manifest.on_removed == "ancestor" and not seen.isin(images.index).all():
            return False
        return not seen.isin(held_out).any()

    chosen = base.settle(aside, params, admits)
    paths.MANIFEST.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (aside / f"{name}.csv").replace(paths.MANIFEST / f"{name}.csv")
    shutil.rmtree(aside)

    counts = ", ".join(f"{(images['split'] == name).sum():,} {name}" for name in NAMES)
    before = read_seen(paths.BASE) if chosen.oid else NOTHING
    change = before.compare(train)
    return (
        f"{counts}, {images['label'].nunique()} classes; {change.new:,} new to training, {change.removed:,} removed, "
        f"{change.relabelled:,} relabelled; {chosen}"
    )


def _write(images: pd.DataFrame, path: Path) -> None:
    images.sort_index().to_csv(path, columns=COLUMNS, index=False, lineterminator="\n", encoding="utf-8")


if __name__ == "__main__":
    main("manifest", manifest)
