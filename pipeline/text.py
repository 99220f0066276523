"""Text for people: names at a terminal, numbers, and CSV files that every reader parses in the same way."""

import csv
from collections.abc import Iterable, Iterator


def shown(text: str) -> str:
    """Return `text` with unprintable characters escaped, for a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def short(oid: str) -> str:
    """Return the short form of a hash for messages."""
    return f"{oid[:8]}…"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return `count` with its noun: `1 image`, `2,000 images`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def counted_epochs(count: float) -> str:
    """Return a number of epochs, with one decimal."""
    return f"{count:,.1f} epochs"


def percent(share: float) -> str:
    """Return a share of one in percent, with one decimal."""
    return f"{share:.1%}".replace("%", " %")


def in_bytes(size: int) -> str:
    """Return `size` bytes in KiB, MiB or GiB."""
    for limit, unit in ((2**20, "KiB"), (2**30, "MiB")):
        if size < limit:
            return f"{size / (limit >> 10):,.1f} {unit}"
    return f"{size / 2**30:,.1f} GiB"


def in_words(seconds: float) -> str:
    """Return a duration rounded to a whole number of s, min, h or days, for forecasts."""
    for limit, size, unit in ((100, 1, "s"), (100 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{max(round(seconds / size), 1):,} {unit}"
    return f"{round(seconds / 86400):,} days"


class _Echo:
    """A file object for `csv.writer` whose `write` returns the line."""

    def write(self, text: str) -> str:
        return text.removesuffix("\r\n")


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield each of `rows` as a CSV line without its line break. Values with line breaks are quoted."""
    # Some versions of Python quote only the characters of `lineterminator`, so it has to contain both CR and LF.
    return map(csv.writer(_Echo(), lineterminator="\r\n").writerow, rows)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return `rows` as the text of a CSV file."""
    return "".join(f"{line}\n" for line in csv_lines(rows))
