"""CSV in which any name may stand, and every reader finds the same lines."""

import csv
from collections.abc import Iterable, Iterator


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
