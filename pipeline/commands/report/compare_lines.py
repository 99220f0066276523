"""Format a comparison of two evaluations for the terminal."""

from collections.abc import Iterator

from pipeline.commands.report.pairing import ALPHA, Comparison
from pipeline.evaluation.report import wording
from pipeline.text import counted, percent, shown

# Maximum number of listed classes.
MOST = 10
NOTHING = "–"


def figure_rows(found: Comparison) -> list[list[str]]:
    """Return the table of metrics of A and B, each measured on its own test images."""
    rows = [["", shown(found.a.name), shown(found.b.name), "change"]]
    for figure in wording.FIGURES:
        before, after = (version.metrics.get(figure.key) for version in (found.a, found.b))
        is_share = figure.kind == "percent"
        cells = [_written(value, is_share=is_share) for value in (before, after)]
        moved = after - before if isinstance(before, float) and isinstance(after, float) else None
        change = wording.points(moved) if is_share else wording.difference(moved)
        rows.append([figure.name[0].lower() + figure.name[1:], *cells, change])
    counts = [f"{version.metrics.get('support', 0):,}" for version in (found.a, found.b)]
    return [*rows, ["test images", *counts, ""]]


def class_rows(found: Comparison) -> list[list[str]]:
    """Return the table of the classes whose recall on the common images changed most; empty if no class changed."""
    rows = [
        [
            shown(row.name),
            f"{row.images:,}",
            percent(row.before),
            percent(row.after),
            wording.points(row.change),
            row.shown,
        ]
        for row in found.classes
        if row.lost or row.gained
    ]
    header = ["recall of class", "images", shown(found.a.name), shown(found.b.name), "change", ""]
    return [header, *rows[:MOST]] if rows else []


def sentences(found: Comparison) -> Iterator[str]:
    """Yield lines about the common images: their number, both accuracies, changed answers, changed labels."""
    a, b, counts = shown(found.a.name), shown(found.b.name), found.counts
    others = [f"{count:,} in {name} alone" for count, name in ((found.only_a, a), (found.only_b, b)) if count]
    yield f"{counted(counts.images, 'test image')} in both{''.join(f', {other}' for other in others)}"
    if not counts.images:
        return
    accuracy = f"{percent(counts.before / counts.images)} in {a}, {percent(counts.after / counts.images)} in {b}"
    yield f"accuracy on those: {accuracy}"
    yield f"{counts.gained:,} from wrong to right, {counts.lost:,} from right to wrong: {doubt(found)}"
    if found.relabelled:
        yield f"{counted(found.relabelled, 'image')} with another label in {a}, judged by that of {b}"


def doubt(found: Comparison) -> str:
    """Return a phrase that states whether chance may explain the difference."""
    if found.a.model.recorded.model == found.b.model.recorded.model:
        return "it is the same model"
    explains = "more than chance explains" if found.p_value < ALPHA else "chance alone may explain that"
    return f"{explains} (McNemar's test, p = {found.p_value:.2g})"


def _written(value: object, *, is_share: bool) -> str:
    if not isinstance(value, float):
        return NOTHING
    return percent(value) if is_share else wording.number(value)
