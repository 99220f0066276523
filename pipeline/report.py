"""data/report/report.html: what evaluate found out, as a page for people."""

from collections.abc import Iterator

import pandas as pd

from pipeline import gallery, paths
from pipeline.ancestors import Past
from pipeline.dataset import read_manifest
from pipeline.lineage import Recorded
from pipeline.page import render
from pipeline.params import FREE, Params
from pipeline.publish import write_text
from pipeline.thumbnails import thumbnails
from pipeline.view import Facts

PAGE = paths.REPORT / "report.html"
# Params that change no model.
HIDDEN = {f"train.{name}" for name in FREE}


def write_report(
    predictions: pd.DataFrame, metrics: dict[str, object], recorded: Recorded, past: list[Past], params: Params
) -> None:
    """Write the page of the model that is `recorded`, `past` being the generations before it.

    `predictions` is what predictions.csv holds, a row an image of the test manifest, without the columns of the base
    where there is none; `metrics` is what metrics.json holds.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image of the test manifest is not in them, or was damaged.
    """
    facts = Facts(
        metrics=metrics,
        predictions=predictions,
        pictures=thumbnails(read_manifest("test"), gallery.choose(predictions)),
        recorded=recorded,
        past=past,
        refused=_read(paths.REFUSED, ["source", "id", "reason", "detail"]),
        leaks=_read(paths.LEAKS, ["id", "label", "split", "source", "like", "like_source"]),
        params=shown_params(params),
    )
    write_text(PAGE, render(facts))


def shown_params(params: Params) -> dict[str, object]:
    """What the model was trained and judged by, by dotted name; evaluate depends on the same in dvc.yaml."""
    shown = params.model_dump(include={"ingest": {"mode"}, "train": True, "evaluate": True})
    return {name: value for name, value in _flat(shown, "") if name not in HIDDEN}


def _flat(values: dict[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read(path: object, columns: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(str(path), dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return pd.DataFrame(columns=columns)
