"""The dates of images, from columns of labels.csv or from names and folders, and the newest images by date."""

import re
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.splits.sources import seen_through, values_of

# Years 1900 to 2099; separators (or folders) and the time of day are optional.
DATE = re.compile(
    r"(?<![0-9])((?:19|20)[0-9]{2})([-_./ ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12][0-9]|3[01])"
    r"(?:[T_ -]?([01][0-9]|2[0-3])[-_:.]?([0-5][0-9])[-_:.]?([0-5][0-9])|(?![0-9]))"
)


def dates_of(images: pa.Table) -> list[str]:
    """Return the date of each of `images` as sortable text, empty if it is unknown.

    `images` has the columns source and attributes. The columns `date` and `time` of labels.csv take precedence over
    the file's name, and the name over its folders.

    Raises:
        ImagesError: a cell of labels.csv is not a date.
    """
    days, times = (values_of(images, column) for column in ("date", "time"))
    sources = images["source"].to_pylist()
    return [
        _in_cell(" ".join(filter(None, (day, time))), source) if day or time else _in_name(source)
        for day, time, source in zip(days, times, sources, strict=True)
    ]


def newest(dates: list[str], groups: list[str], share: float) -> tuple[list[bool], str]:
    """Return whether each image is among the newest, and the earliest date of those.

    As many dates are taken as fit into `share` of the images, but at least one. A group has the date of its oldest
    image. Images without a date are never among the newest.
    """
    oldest: dict[str, str] = {}
    for date, group in zip(dates, groups, strict=True):
        if date and group:
            oldest[group] = min(date, oldest.get(group, date))
    begun = [oldest.get(group, "") if group else date for date, group in zip(dates, groups, strict=True)]
    counts = Counter(filter(None, begun))
    first, count = "", 0
    for date in sorted(counts, reverse=True) if share else ():
        count += counts[date]
        if first and count > round(share * len(dates)):
            break
        first = date
    return [bool(first) and date >= first for date in begun], first


def _in_cell(text: str, source: str) -> str:
    try:
        taken = datetime.fromisoformat(text)
    except ValueError:
        what = f"the date of {source} is {text!r}"
        raise ImagesError(paths.LABELS, what, "write it as 2026-01-31, or 2026-01-31 12:00:00") from None
    return (taken.astimezone(UTC) if taken.tzinfo else taken).strftime("%Y-%m-%d %H:%M:%S")


def _in_name(source: str) -> str:
    """Return the last date in the path, or empty text."""
    _, folders, name = seen_through(source)
    for found in reversed(list(DATE.finditer("/".join((*folders, name))))):
        year, _, month, day, *clock = found.groups(default="00")
        text = f"{year}-{month}-{day} {':'.join(clock)}"
        try:
            datetime.fromisoformat(text)
        except ValueError:  # For example 31 February.
            continue
        return text
    return ""
