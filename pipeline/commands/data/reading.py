"""Read the bytes of images at places that were inspected before."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pipeline.errors import ImagesError
from pipeline.ingestion.decoding import MAX_FILE, Place
from pipeline.ingestion.unpacking import archives


def read_in_order(places: Iterable[Place]) -> Iterator[tuple[Place, bytes]]:
    """Yield each of `places` with its bytes.

    Archives are read in member order, since any other order is slow in compressed ones.

    Raises:
        ImagesError: a place can no longer be read.
    """
    for path, members in groupby(sorted(places, key=lambda one: (one.path, one.position)), lambda one: one.path):
        try:
            archive = None
            for place in members:
                if place.member is None:
                    yield place, Path(path).read_bytes()
                else:
                    archive = archive or archives.open_archive(Path(path))
                    yield place, archive.read(place.position, MAX_FILE)
        except archives.BROKEN as error:
            raise ImagesError(path, f"changed while it was read: {error}", "run the command again") from None
