"""Resolve the image that a user names by file, id, prefix of an id, or source."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import parquet, paths
from pipeline.commands.data.removal import DIGITS, HEX, SHORTEST
from pipeline.commands.holdings import Holdings
from pipeline.errors import ImagesError, MissingDataError
from pipeline.files import md5_of_file
from pipeline.images import index
from pipeline.lineage.history import PUSH_ALL, RecordedModel
from pipeline.text import counted
from pipeline.versioning import fetching


def beginning(image: str, held: Holdings, models: Iterable[RecordedModel]) -> str:
    """Return the id of `image`, or the given prefix of an id.

    A source is searched among the places `held` in data/raw, then in the index, then in the indexes that `models` were
    trained from, the newest first, since only these list removed images.

    Raises:
        ImagesError: nothing has this name, or it names a folder or an archive.
    """
    path = Path(image)
    source = path.as_posix().removeprefix(f"{paths.RAW.as_posix()}/")
    inside = ("",) if path == paths.RAW else (f"{source}/", f"{source}!/")
    within = held.within(*inside)
    if len(within) or path.is_dir():
        such = "".join(f", such as {paths.RAW}/{one.name}" for one in held.at(within[:1]))
        hint = f"give one image{such or f' of {paths.RAW}'}"
        raise ImagesError(image, f"holds {counted(len(within), 'image')} of {paths.RAW}", hint)
    if path.is_file():
        return md5_of_file(path)
    if SHORTEST <= len(image) <= DIGITS and set(image.lower()) <= HEX:
        return image.lower()
    for one in held.at(held.called([source])[source]):
        if one.id and one.name == source:
            return one.id
    for table in _indexes(models):
        if found := _named(table, source):
            return found
    raise ImagesError(image, "neither a file, an id nor a known source", "see the sources in index.parquet")


def _indexes(models: Iterable[RecordedModel]) -> Iterator[Path]:
    """Yield the path of every available index, newest first."""
    yield index.INDEX
    tried = set()
    for model in reversed(list(models)):
        oid = model.outputs.get(paths.IMAGES.as_posix())
        if oid is None or oid in tried:
            continue
        tried.add(oid)
        try:
            yield fetching.fetch_member(oid, index.INDEX.name, what=f"{index.INDEX} of {model.name}", hint=PUSH_ALL)
        except MissingDataError:
            continue


def _named(table: Path, source: str) -> str | None:
    """Return the id of the image whose source is `source`; None if the index `table` has no such image."""
    import pyarrow.compute as pc

    rows = parquet.read_table(table, index.SCHEMA, ["id", "source"])
    found = rows.filter(pc.equal(rows["source"], source))["id"].to_pylist()
    return str(found[0]) if found else None
