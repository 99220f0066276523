"""List the present classes of data/raw, by the index and by the names of files that ingest has not read yet."""

import os
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import RecordError
from pipeline.images import index
from pipeline.ingestion.archive_listing import list_archive
from pipeline.ingestion.catalogue import Listing
from pipeline.ingestion.labelling.class_names import class_name
from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.labels import Labels, is_system_file
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.labelling.sources import place_of, source_of
from pipeline.ingestion.scan import label_files
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.params import read_params
from pipeline.text import shown


class ClassListing:
    """The classes, and the number of images of each that ingest has read."""

    def __init__(self, mapping: ClassMapping) -> None:
        self._mapping = mapping
        table = parquet.read_table(index.INDEX, index.SCHEMA, ["label", "source"])
        counts = pc.value_counts(table["label"])
        labels = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
        self.images = Counter[str]()
        for name, count in [*labels, *((name, 0) for name in _unread({*table["source"].to_pylist()}))]:
            label = mapping.label(name)
            if label is not None:
                self.images[label] += count

    def find(self, text: str) -> str:
        """Return the class that `text` names.

        Raises:
            RecordError: there is no such class; the message states the nearest name, or what the class has become.
        """
        name = name_of(text)
        if name in self.images:
            return name
        if not self.images:
            raise RecordError(paths.RAW, "no class in it", "add images first")
        label = self._mapping.label(name)
        if label is None:
            raise RecordError(paths.CLASSES, f"{shown(name)} is dropped already", "remove its row to restore the class")
        if label != name:
            raise RecordError(paths.CLASSES, f"{shown(name)} is called {shown(label)} now", "use that name")
        (near,) = get_close_matches(name, sorted(self.images), n=1, cutoff=0)
        raise RecordError(
            shown(name), "no such class", f"the nearest one is {shown(near)}; `pipeline classes` lists all"
        )


def name_of(text: str) -> str:
    """Normalise `text` to the name of a class.

    Raises:
        RecordError: `text` cannot be the name of a class.
    """
    name = class_name(text)
    if name is None:
        raise RecordError(shown(text), "cannot be the name of a class", "give a plain name, without / in it")
    return name


def _unread(sources: set[str]) -> set[str]:
    """Return the classes named by folders, archives and labels.csv for files without an image in `sources`."""
    params = read_params().ingest
    listing = Listing.of(params)
    files = label_files(paths.RAW, listing.columns)
    labels = Labels.read(files=files, strip=params.strip, columns=listing.columns)
    places = list(_places({place_of(source)[0] for source in sources}, labels, listing))
    labels.settle(source_of(*place) for place in places)
    return {name for place in places if (name := labels.of(*place))}


def _places(read: set[str], labels: Labels, listing: Listing) -> Iterator[tuple[str, str | None]]:
    """Yield the places of possible images in data/raw outside the files `read`; add archives' own lines to `labels`."""
    for folder, _, names in os.walk(paths.RAW):
        for name in names:
            path = Path(folder, name).relative_to(paths.RAW).as_posix()
            if path in read or is_label_file(path, listing.columns) or is_system_file(path):
                continue
            if is_archive(path):
                members = list_archive(paths.RAW / path, listing)
                labels.carry(path, {member.name: member.line for member in members if member.line is not None})
                yield from ((path, member.name) for member in members if member.refusal is None)
            else:
                yield path, None
