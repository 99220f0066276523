"""The result of `pipeline check` as a summary that fits one screen, or in full as JSON or CSV."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.commands.data.survey import Survey
from pipeline.commands.sheets.saving import save
from pipeline.ingestion.refusals import Refusal
from pipeline.text import counted, csv_text, shown

# Limits such that the summary fits into 40 lines of 100 columns.
COLUMNS, MOST_CLASSES, MOST_REASONS, MOST_NOTICES = 100, 8, 8, 4
# Maximum number of examples of each reason, and of all reasons together.
EXAMPLES, MOST_EXAMPLES = 3, 12
# A class with fewer images is hardly learned, so it is reported.
FEW = 10


def class_rows(found: Survey) -> list[list[object]]:
    """Return the table of the largest classes, header first: counts of new and known images and copies, and sizes."""
    columns, sides, labels = counts_of(found), sides_of(found), classes_of(found)
    every = [side for some in sides.values() for side in some]
    rows: list[list[object]] = [
        [_cut(label, COLUMNS // 2), *_cells(columns, label), in_pixels(sides.get(label, []))]
        for label in labels[:MOST_CLASSES]
    ]
    if rest := labels[MOST_CLASSES:]:
        cells = [sum(column[label] for label in rest) for column in columns.values()]
        size = in_pixels([side for label in rest for side in sides.get(label, [])])
        rows.append([f"… {counted(len(rest), 'more class', 'more classes')}", *cells, size])
    totals = [column.total() for column in columns.values()]
    return [["class", *columns, "shorter side"], *rows, ["all", *totals, in_pixels(every)]]


def classes_of(found: Survey) -> list[str]:
    """Return the classes that were found, the largest first."""
    columns = counts_of(found)
    totals = columns["new"] + columns["known"]
    return sorted({*totals, *columns["copies"]}, key=lambda label: (-totals[label], label))


def few_of(found: Survey) -> list[tuple[int, str]]:
    """Return size and name of each class with fewer than `FEW` images, including data/raw; the smallest first."""
    columns = counts_of(found)
    totals = (columns["new"] + columns["known"]) | found.images
    return sorted((totals[label], label) for label in classes_of(found) if totals[label] < FEW)


def sides_of(found: Survey) -> dict[str, list[int]]:
    """Return the shorter side, in pixels, of each new image, by class."""
    sides: dict[str, list[int]] = {}
    for one in found.places:
        if one.status == "new" and one.size:
            sides.setdefault(one.label, []).append(min(one.size))
    return sides


def in_pixels(sides: list[int]) -> str:
    """Return the range of `sides` as text, in pixels; an empty string if there are none."""
    if not sides:
        return ""
    low, high = min(sides), max(sides)
    return f"{low:,} px" if low == high else f"{low:,}–{high:,} px"


def summary_lines(found: Survey) -> Iterator[str]:
    """Yield the lines below the table: notices, small classes, and refusal reasons with counts and examples."""
    yield from (_cut(f"warning: {notice}", 2 * COLUMNS) for notice in found.notices[:MOST_NOTICES])
    if len(found.notices) > MOST_NOTICES:
        yield f"… and {len(found.notices) - MOST_NOTICES:,} more warnings (--json has all)"
    if few := few_of(found):
        names = ", ".join(f"{label} ({count})" for count, label in few)
        yield _cut(f"{counted(len(few), 'class', 'classes')} of fewer than {FEW} images: {names}")
    yield from refused_lines(found.refused)


def refused_lines(refused: list[tuple[str, Refusal]]) -> Iterator[str]:
    """Yield the refusal reasons, the most frequent first, each with its count and a few examples."""
    if not refused:
        return
    reasons = Counter(refusal.reason for _, refusal in refused).most_common()
    examples = min(EXAMPLES, max(1, MOST_EXAMPLES // len(reasons)))
    yield f"refused {len(refused):,}:"
    for reason, count in reasons[:MOST_REASONS]:
        same = [(name, refusal.detail) for name, refusal in refused if refusal.reason == reason]
        shared = same[0][1] if len({detail for _, detail in same}) == 1 else ""
        yield _cut(f"  {count:,} {reason}{shared and f': {shared}'}")
        for name, detail in same[:examples]:
            yield _cut(f"    {_end_of(name)}" if shared else f"    {_end_of(name)}: {detail}")
    if len(reasons) > MOST_REASONS:
        rest = ", ".join(f"{count:,} {reason}" for reason, count in reasons[MOST_REASONS:])
        yield _cut(f"  {rest}")


def as_json(found: Survey) -> dict[str, Any]:
    """Return the whole result for JSON."""
    columns, sides = counts_of(found), sides_of(found)
    return {
        "classes": {
            label: dict(zip(columns, _cells(columns, label), strict=True)) | _range(sides.get(label))
            for label in sorted(classes_of(found))
        },
        "refused": [{"source": name, "reason": one.reason, "detail": one.detail} for name, one in found.refused],
        "warnings": found.notices,
    }


def write_csv(found: Survey, path: Path) -> None:
    """Write one CSV line for each place to `path`: its status and class, or why it is refused.

    Raises:
        ImagesError: `path` cannot be written.
    """
    used = [(one.source, one.status, one.label, one.id, "", *(one.size or ("", ""))) for one in found.places]
    refused = [(name, one.reason, "", "", one.detail, "", "") for name, one in found.refused]
    header = ("source", "status", "label", "id", "detail", "width", "height")
    rows = sorted([*used, *refused], key=lambda row: row[:2])
    save(path, csv_text([header, *rows]))


def counts_of(found: Survey) -> dict[str, Counter[str]]:
    """Return the number of new and known images and of copies, by class."""
    return {
        "new": Counter(label for label, _ in found.new),
        "known": Counter(label for label, _ in found.known),
        "copies": found.copies,
    }


def _range(sides: list[int] | None) -> dict[str, list[int]]:
    return {"shorter_side": [min(sides), max(sides)]} if sides else {}


def _cells(columns: dict[str, Counter[str]], label: str) -> list[int]:
    return [column[label] for column in columns.values()]


def _end_of(name: str) -> str:
    """Return the end of a long name, which is more informative than its beginning."""
    return name if len(name) <= COLUMNS // 2 else f"…{name[1 - COLUMNS // 2 :]}"


def _cut(text: str, width: int = COLUMNS) -> str:
    """Return `text` with unprintable characters escaped, cut to `width` columns."""
    line = shown(text)
    return line if len(line) <= width else f"{line[: width - 1]}…"
