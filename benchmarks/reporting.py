"""Common code of benchmarks: choose them by name, run in an empty folder, and print rows for docs/benchmarks.md."""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Scale:
    """The amount of work: all of it, or just enough to test the code."""

    quick: bool

    def count(self, full: int) -> int:
        """Return the number of images or files: `full`, or a few."""
        return max(200, full // 500) if self.quick else full

    def rounds(self, full: int) -> int:
        """Return the number of repetitions: `full`, or one."""
        return 1 if self.quick else full


class Row(NamedTuple):
    """A row of the table in docs/benchmarks.md."""

    name: str
    figure: str


Rows = Iterator[Row]
Benchmark = Callable[[Path, Scale], Rows]


def spread(values: Iterable[float], unit: str, digits: int = 2) -> str:
    """Return the median, with the smallest and the largest value."""
    ordered = sorted(values)
    low, middle, high = (f"{value:,.{digits}f}" for value in (ordered[0], statistics.median(ordered), ordered[-1]))
    return f"{middle} {unit} ({low}-{high})"


def main(description: str | None, benchmarks: Mapping[str, Benchmark]) -> None:
    """Run the benchmarks named on the command line, by default all."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(benchmarks)}; all without one")
    parser.add_argument("--quick", action="store_true", help="only check that it runs; the results mean nothing")
    arguments = parser.parse_args()
    for unknown in set(arguments.names) - set(benchmarks):
        parser.error(f"{unknown!r} is none of {', '.join(benchmarks)}")
    for name in arguments.names or benchmarks:
        with tempfile.TemporaryDirectory(prefix="treering-benchmark-") as scratch:
            for row in benchmarks[name](Path(scratch), Scale(quick=arguments.quick)):
                print(f"| {row.name} | {row.figure} | `{Path(sys.argv[0]).name} {name}` |", flush=True)
            os.chdir("/")
