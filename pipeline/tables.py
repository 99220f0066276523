"""Tables and lists, as people read them at the terminal."""

from collections.abc import Sequence

from pipeline.console import shown

# Longer lists are cut.
MOST = 20


def print_table(rows: Sequence[Sequence[object]]) -> None:
    """Print `rows`, a header first, in columns; the first is text, numbers stand to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for first, *rest in cells:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print(f"{first.ljust(widths[0])}  {numbers}".rstrip())


def print_lines(lines: Sequence[str]) -> None:
    """Print `lines`, the first of many, indented."""
    for line in lines[:MOST]:
        print(f"  {shown(line)}")
    if len(lines) > MOST:
        print(f"  … and {len(lines) - MOST:,} more")
