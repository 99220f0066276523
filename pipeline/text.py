"""Text that people read: names at a terminal, figures, and CSV files that every reader reads alike."""

import csv
from collections.abc import Iterable, Iterator


def shown(text: str) -> str:
    """`text` fit for a terminal, whatever a file was called."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def short(oid: str) -> str:
    """A hash as people are shown it."""
    return f"{oid[:8]}…"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`count` of what `noun` names: `1 image`, `2,000 images`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def counted_epochs(count: float) -> str:
    """Passes over all images, as exactly as they matter."""
    return f"{count:,.1f} epochs"


def percent(share: float) -> str:
    """A share of one, in percent."""
    return f"{share:.1%}".replace("%", " %")


def in_bytes(size: int) -> str:
    """An amount of `size` bytes, for people."""
    for limit, unit in ((2**20, "KiB"), (2**30, "MiB")):
        if size < limit:
            return f"{size / (limit >> 10):,.1f} {unit}"
    return f"{size / 2**30:,.1f} GiB"


def in_words(seconds: float) -> str:
    """A duration as exactly as a forecast may be."""
    for limit, size, unit in ((100, 1, "s"), (100 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{max(round(seconds / size), 1):,} {unit}"
    return f"{round(seconds / 86400):,} days"


class _Echo:
    """Gives back the line that is written to it."""

    def write(self, text: str) -> str:
        return text.removesuffix("\r\n")


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Each of `rows` as a line, without the end of one; what would end a line is quoted."""
    # Some versions of Python quote in a line only what ends it, so that a name could hold the other character.
    return map(csv.writer(_Echo(), lineterminator="\r\n").writerow, rows)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """The same as the text of a file."""
    return "".join(f"{line}\n" for line in csv_lines(rows))
