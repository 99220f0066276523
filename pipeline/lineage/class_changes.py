"""data/manifest/classes.csv: what has become of the base's classes; classes that stay the same are not listed.

Each row pairs a class of the base (the origin) with a present class (its heir). A class in a single row is renamed.
Several classes with the same heir are merged, and a class with several heirs is split. A class whose heir is empty is
dropped.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.text import csv_text

if TYPE_CHECKING:
    import pandas as pd


CLASSES = "classes.csv"
HEADER = ("was", "now")


@dataclass(frozen=True)
class ClassChanges:
    """What has become of a model's classes."""

    rows: tuple[tuple[str, str], ...] = ()
    """Pairs of a former class and a present class; the latter is empty where the class is dropped."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> ClassChanges:
        """Build it from `pairs`, without the pairs that change nothing."""
        rows = sorted(set(pairs))
        before, now = Counter(was for was, _ in rows), Counter(name for _, name in rows)
        return cls(tuple((was, name) for was, name in rows if was != name or max(before[was], now[name]) > 1))

    @classmethod
    def read(cls, path: Path = paths.MANIFEST / CLASSES) -> ClassChanges:
        """Read the file `path`; a missing file means that no class has changed."""
        if not path.exists():
            return cls()
        with path.open(newline="", encoding="utf-8") as file:
            return cls(tuple((was, name) for was, name in list(csv.reader(file))[1:]))

    def to_text(self) -> str:
        """Return the content of classes.csv for these changes."""
        return csv_text([HEADER, *self.rows])

    def heirs(self, was: str) -> list[str]:
        """Return the present classes that the former class `was` has become."""
        return self._heirs.get(was, [was])

    def label(self, was: str) -> str:
        """Return the present label of images of the former class `was`: its heir if it has exactly one, else `was`."""
        heirs = self.heirs(was)
        return heirs[0] if len(heirs) == 1 else was

    def relabel(self, labels: pd.Series[str]) -> pd.Series[str]:
        """Replace former `labels` by the present ones."""
        return labels.map({was: self.label(was) for was in labels.unique()}).astype(str) if self.rows else labels

    def merge_columns(self, probabilities: pd.DataFrame) -> pd.DataFrame:
        """Convert `probabilities`, a column per former class, to the present classes; merged classes are summed."""
        if not self.rows:
            return probabilities
        import pandas as pd  # A late import: `pipeline status` does not need pandas.

        merged: dict[str, pd.Series[float]] = {}
        for was in probabilities.columns:
            name = self.label(was)
            merged[name] = merged[name] + probabilities[was] if name in merged else probabilities[was]
        return pd.DataFrame(merged)

    def origins(self, before: Sequence[str], now: Collection[str]) -> dict[str, list[int]]:
        """Return, for each class in `now` that is not new, the positions in `before` of the classes it comes from."""
        found: dict[str, list[int]] = {}
        for place, was in enumerate(before):
            for name in self.heirs(was):
                if name in now:
                    found.setdefault(name, []).append(place)
        return found

    @cached_property
    def _heirs(self) -> Mapping[str, list[str]]:
        heirs: dict[str, list[str]] = {}
        for was, name in self.rows:
            heirs.setdefault(was, []).extend([name] if name else [])
        return heirs

    def __str__(self) -> str:
        """Describe the changes in half a sentence; empty if nothing has changed."""
        return ", ".join(self._parts())

    def as_news(self) -> str:
        """Describe the changes as the end of a sentence; empty if nothing has changed."""
        return f"; classes: {self}" if self.rows else ""

    def _parts(self) -> Iterator[str]:
        heirs, origins = dict[str, list[str]](), dict[str, list[str]]()
        for was, name in self.rows:
            heirs.setdefault(was, []).append(name)
            origins.setdefault(name, []).append(was)
        for name, several in origins.items():
            if name and len(several) > 1:
                yield f"{_all(several)} merged into {name}"
        for was, several in heirs.items():
            if len(several) > 1:
                yield f"{was} split into {_all(several)}"
            elif several == [""]:
                yield f"{was} dropped"
            elif len(origins[several[0]]) == 1:
                yield f"{was} renamed to {several[0]}"


def _all(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
