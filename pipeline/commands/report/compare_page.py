"""Render a comparison of two evaluations as a page: metrics, classes, and images whose prediction changed."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.commands.report.compare_lines import doubt
from pipeline.commands.report.flipped import pictures
from pipeline.commands.report.pairing import Comparison
from pipeline.evaluation.report import wording
from pipeline.evaluation.report.thumbnails import Thumbnail
from pipeline.pages.rendering import environment
from pipeline.pages.wording import visible

TEMPLATES = Path(__file__).parent / "templates"
# Maximum number of pictures of lost images, and of gained images.
MOST = 200


def render(found: Comparison) -> str:
    """Return the HTML of the page."""
    wanted = dict.fromkeys([*found.lost["id"][:MOST], *found.gained["id"][:MOST]])
    shown, trouble = pictures(list(wanted))
    names = sorted({row.name for row in found.classes})
    kinds = {kind: _images(rows, shown) for kind, rows in (("lost", found.lost), ("gained", found.gained))}
    template = environment(TEMPLATES, wording.FILTERS).get_template("compare.html.jinja")
    return template.render(
        found=found,
        figures=wording.FIGURES,
        names=names,
        trouble=trouble,
        doubt=doubt(found),
        data={**kinds, "a": visible(found.a.name), "b": visible(found.b.name)},
    )


def _images(rows: pd.DataFrame, shown: dict[str, Thumbnail]) -> list[list[Any]]:
    """Return one list of values for each image with a picture, as the page's script reads them."""
    return [
        [
            row["id"],
            visible(row["label"]),
            *(entry for side in "ab" for entry in (visible(row[f"predicted_{side}"]), row[f"confidence_{side}"])),
            *shown[row["id"]],
        ]
        for row in rows[:MOST].to_dict("records")
        if row["id"] in shown
    ]
