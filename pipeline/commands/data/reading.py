"""The bytes of images at places that were looked at before."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pipeline.errors import ImagesError
from pipeline.ingestion.decoding import MAX_FILE, Place
from pipeline.ingestion.unpacking import archives


def read_in_order(places: Iterable[Place]) -> Iterator[tuple[Place, bytes]]:
    """Each of `places` with its bytes.

    Archives are read in their own order: compressed ones have no other that is not slow.

    Raises:
        ImagesError: one cannot be read any more.
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
