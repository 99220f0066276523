"""data/manifest/classes.csv: which classes of the base are which ones now; what is the same in both is not listed.

A row an origin and its heir. A class in one row is renamed; several with the same heir are merged, and a class with
several heirs is split. One without an heir is dropped.
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
    """What became of the classes of a model."""

    rows: tuple[tuple[str, str], ...] = ()
    """Pairs of a class then and one now, empty where it is dropped."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> ClassChanges:
        """From all `pairs`, of which those are left out that change nothing."""
        rows = sorted(set(pairs))
        before, now = Counter(was for was, _ in rows), Counter(name for _, name in rows)
        return cls(tuple((was, name) for was, name in rows if was != name or max(before[was], now[name]) > 1))

    @classmethod
    def read(cls, path: Path = paths.MANIFEST / CLASSES) -> ClassChanges:
        """What the file `path` says; nothing where there is none."""
        if not path.exists():
            return cls()
        with path.open(newline="", encoding="utf-8") as file:
            return cls(tuple((was, name) for was, name in list(csv.reader(file))[1:]))

    def to_text(self) -> str:
        """The content of a file that says so."""
        return csv_text([HEADER, *self.rows])

    def heirs(self, was: str) -> list[str]:
        """The classes now that come of the class `was`."""
        return self._heirs.get(was, [was])

    def label(self, was: str) -> str:
        """What an image of the class `was` is called now: as then, unless the class has one heir."""
        heirs = self.heirs(was)
        return heirs[0] if len(heirs) == 1 else was

    def relabel(self, labels: pd.Series[str]) -> pd.Series[str]:
        """`labels` of then as they are called now."""
        return labels.map({was: self.label(was) for was in labels.unique()}).astype(str) if self.rows else labels

    def merge_columns(self, probabilities: pd.DataFrame) -> pd.DataFrame:
        """`probabilities` that a model gives its classes, a column each, as those of the classes now: sums of both."""
        if not self.rows:
            return probabilities
        import pandas as pd  # Late, since `pipeline status` needs none of it.

        merged: dict[str, pd.Series[float]] = {}
        for was in probabilities.columns:
            name = self.label(was)
            merged[name] = merged[name] + probabilities[was] if name in merged else probabilities[was]
        return pd.DataFrame(merged)

    def origins(self, before: Sequence[str], now: Collection[str]) -> dict[str, list[int]]:
        """The places in `before` of the classes that each class among `now` comes of; without those that are new."""
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
        """In half a sentence, empty where nothing has changed."""
        return ", ".join(self._parts())

    def as_news(self) -> str:
        """The same as the end of a sentence."""
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
