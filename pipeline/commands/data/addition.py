"""Add images to data/raw as one archive of their raw bytes, which keeps their ids and is fast for any number."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline import paths
from pipeline.commands.data.found_images import FoundImage
from pipeline.commands.data.kept_columns import label_files
from pipeline.commands.data.reading import read_in_order
from pipeline.commands.data.workbench import ADDED, put_zip
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.pictures.formats import opened
from pipeline.params import Params, read_params

# Suffixes of Pillow's formats that differ from the format's lower-case name.
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "JPEG2000": "jp2", "TIFF": "tif", "HEIF": "heic", "DICOM": "dcm"}


def check_outside(tops: Iterable[Path]) -> None:
    """Check that none of `tops` is data/raw, lies in it, or contains it.

    Raises:
        ImagesError: one of them does.
    """
    raw = paths.RAW.resolve()
    for top in tops:
        where = top.resolve()
        if where.is_relative_to(raw) or raw.is_relative_to(where):
            raise ImagesError(top, f"holds {paths.RAW}, or lies in it", "name images outside of it")


def check_split(params: Params) -> None:
    """Check that splits do not depend on folders or file names, since an added image keeps only its id as its name.

    Raises:
        ImagesError: `manifest.split` uses folders or names.
    """
    split = params.manifest.split
    if split.group not in (None, "labels", "patient") or split.by in ("folder", "time"):
        name, value = ("by", split.by) if split.by in ("folder", "time") else ("group", split.group)
        what = f"manifest.split.{name} is {value}, and `pipeline add` keeps neither folders nor names"
        raise ImagesError(paths.PARAMS, what, f"copy the folders, or an archive of them, into {paths.RAW}")


def add(new: dict[tuple[str, str], FoundImage], folder: Path) -> Path:
    """Put the images `new`, by label and id, into data/raw as one archive, which is built in `folder`.

    The archive's bytes depend only on the images, not on where they come from.

    Raises:
        ImagesError: an image has changed since it was inspected, or labels.csv would give it another class.
    """
    return put_zip(ADDED, _members(new, folder), folder)


def _members(new: dict[tuple[str, str], FoundImage], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each member's name and bytes, sorted by label and id; last a labels.csv with their further columns."""
    params = read_params().ingest
    columns, lines = Columns(**params.columns), dict[str, LabelLine]()
    labels = Labels.read(strip=params.strip, columns=columns)
    with (folder / "spool").open("w+b") as spool:
        spooled = _spool(new, spool)
        for (label, image_id), found in sorted(new.items()):
            if found.place.member is None:
                raw = Path(found.place.path).read_bytes()
            else:
                spool.seek(spooled[label, image_id][0])
                raw = spool.read(spooled[label, image_id][1])
            if md5_of_bytes(raw) != image_id:
                raise ImagesError(found.name, "changed while it was read", "run the command again")
            name = f"{label}/{image_id}.{_suffix(raw)}"
            lines[name] = LabelLine(label, found.attributes)
            _check_globs(labels, name, lines[name])
            yield name, raw
    yield from label_files(lines, columns)


def _check_globs(labels: Labels, name: str, line: LabelLine) -> None:
    """Check that no glob in the `labels` of data/raw changes what `line` states about the new member `name`.

    Raises:
        ImagesError: a glob matches the member and states something else.
    """
    archive = f"{ADDED}-{'0' * 12}.zip"
    label, listed = labels.of(archive, name), labels.listed(archive, name)
    if label != line.label:
        what = f"a glob in it, or in ingest.strip, would make {label} of new images of class {line.label}"
        raise ImagesError(paths.RAW / LABELS, what, "narrow the glob")
    if listed is not None and line.attributes not in ("", listed.attributes):
        what = f"a glob in it would hide the further columns of new images of class {line.label}"
        raise ImagesError(paths.RAW / LABELS, what, "narrow the glob")


def _spool(new: dict[tuple[str, str], FoundImage], spool: BinaryIO) -> dict[tuple[str, str], tuple[int, int]]:
    """Copy the images that lie in archives to `spool`; return the offset and length in bytes of each."""
    packed = {found.place: key for key, found in new.items() if found.place.member is not None}
    return {packed[place]: (spool.tell(), spool.write(raw)) for place, raw in read_in_order(packed)}


def _suffix(raw: bytes) -> str:
    """Return the suffix by content, not by file name, so that the same image always makes the same archive."""
    with opened(raw) as image:
        kind = image.format or ""
    return SUFFIXES.get(kind, kind.lower())
