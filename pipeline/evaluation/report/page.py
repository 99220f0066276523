"""Writing data/report/report.html, the results of evaluate as a web page."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import pandas as pd

from pipeline import paths
from pipeline.evaluation.measurements import Findings
from pipeline.evaluation.report import gallery, wording
from pipeline.evaluation.report.context import PageFacts, view
from pipeline.evaluation.report.thumbnails import thumbnails
from pipeline.evaluation.review.reviewing import Review
from pipeline.files import write_text
from pipeline.images.pixels import Slot
from pipeline.images.remote_shards import RemoteShards
from pipeline.pages.rendering import environment
from pipeline.params import Params
from pipeline.train_params import FREE

TEMPLATES = Path(__file__).parent / "templates"
PAGE = paths.REPORT / "report.html"
# Most suspects with a picture, and most mistakes with a picture at full size.
SUSPECTS, WHOLE = 48, 200
# Params that change no model.
HIDDEN = {f"train.{name}" for name in FREE}


def write_report(
    findings: Findings,
    review: Review,
    slots: Mapping[str, Slot],
    params: Params,
    elsewhere: RemoteShards | None = None,
) -> None:
    """Write the page with `findings` and `review`; `slots` has the places of the images by id.

    Images of shards that are not in data/shards are read from `elsewhere`.

    Raises:
        ImagesError: an image is damaged.
    """
    found, suspects = gallery.find(findings.predictions), review.suspects["id"][:SUSPECTS]
    chosen, wrong = gallery.choose(found), set(found.mistakes)
    whole = set(islice((row for row in chosen if row in wrong), WHOLE))
    facts = PageFacts(
        findings=findings,
        review=review,
        found=found,
        pictures=thumbnails([slots[one] for one in findings.predictions["id"]], chosen, elsewhere, whole=whole),
        suspects=thumbnails([slots[one] for one in suspects], range(len(suspects)), elsewhere, whole=range(SUSPECTS)),
        refused=_read(paths.REFUSED, ["source", "id", "reason", "detail"]),
        leaks=_read(paths.LEAKS, ["id", "label", "split", "source", "like", "like_source"]),
        params=shown_params(params),
    )
    write_text(PAGE, render(facts))


def render(facts: PageFacts) -> str:
    """Return the HTML of the page. It has no time, path or address, so the same facts always give the same text."""
    pages = environment(TEMPLATES, wording.FILTERS)
    return pages.get_template("report.html.jinja").render(view(facts))


def shown_params(params: Params) -> dict[str, object]:
    """Return the params of training and evaluation by dotted name: those on which evaluate depends in dvc.yaml."""
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
