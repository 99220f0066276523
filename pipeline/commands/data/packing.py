"""Pack the loose images of data/raw into archives, which DVC and file systems handle faster. No id changes."""

import os
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from pipeline import paths
from pipeline.commands.data.kept_columns import label_files
from pipeline.commands.data.workbench import PACKED, put_zip
from pipeline.commands.holdings import loose_paths
from pipeline.ingestion.collection import Collection
from pipeline.ingestion.decoding import MAX_FILE
from pipeline.ingestion.labelling.class_names import label_of
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.labels import Labels, is_system_file
from pipeline.ingestion.unpacking import archives
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.ingestion.unpacking.archives import is_unsafe
from pipeline.params import read_params

# Limits of one archive, since it is read, hashed and pushed as a whole.
MAX_BYTES = 512 * 2**20
MAX_FILES = 10_000
# Placeholder name of an archive that is not made yet.
INSIDE = f"{PACKED}-{'0' * 12}.zip"


class Loose(NamedTuple):
    """A loose image file of data/raw."""

    path: str
    """Relative to data/raw."""
    state: tuple[int, int, int]
    """Size in bytes, modification time in ns, and inode: they change when the file is written to."""
    said: LabelLine = LabelLine(None)
    """The image's line in its archive's labels.csv; empty if its folder and the labels.csv of data/raw suffice."""

    @property
    def file(self) -> Path:
        """The path of the file."""
        return paths.RAW / self.path


def loose_images() -> tuple[list[Loose], list[str]]:
    """Return the images that can be packed, by path, and the paths of those that must stay loose.

    Images in class folders can be packed unless ingest has refused them. They must stay loose if labels.csv or
    ingest.strip determines their class or columns by their present path.
    """
    refused = {line.source for line in Collection.read().refused}
    params = read_params().ingest
    labels = Labels.read(files=loose_paths(), strip=params.strip, columns=Columns(**params.columns))
    labels.settle(loose_paths())
    named, found = list[str](), list[Loose]()
    for path in loose_paths():
        if not _may_be_packed(path, refused, labels):
            continue
        if _is_bound(path, labels):
            named.append(path)
        else:
            found.append(Loose(path, _state(paths.RAW / path), _said(path, labels)))
    return sorted(one for one in found if one.state[0] <= MAX_FILE), named


def pack(images: list[Loose], folder: Path) -> tuple[list[Path], int]:
    """Put `images` into new archives, which are built in `folder`, and then remove the loose files.

    Returns:
        The archives, and the number of images that an interrupted run had packed already.
    """
    done, columns = set(_packed_before(images)), Columns(**read_params().ingest.columns)
    _unlink([one for one in images if one.path in done])
    made = []
    with tqdm(total=len(images) - len(done), desc="packing", unit=" images", disable=None) as bar:
        for batch in _batches([one for one in images if one.path not in done]):
            lines = {one.path: one.said for one in batch}
            files = ((one.path, one.file.read_bytes()) for one in batch)
            made.append(put_zip(PACKED, chain(files, label_files(lines, columns)), folder))
            _unlink(batch)
            bar.update(len(batch))
    return made, len(done)


def _may_be_packed(path: str, refused: set[str], labels: Labels) -> bool:
    """Whether the file has a class and is presumably an image, one that ingest has not refused."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    if labels.is_file(path) or is_archive(path) or is_system_file(path) or is_unsafe(path):
        return False
    return (paths.RAW / path).is_file() and labels.of(path, None) is not None and path not in refused


def _is_bound(path: str, labels: Labels) -> bool:
    """Whether the image would get another class, or other label columns, if it were in an archive."""
    label, line, inside = label_of(path, None), labels.find(path, None), labels.listed(INSIDE, path)
    keeps_label = label == line.label == labels.of(INSIDE, path)
    keeps_columns = inside is None or inside.attributes == line.attributes
    return not (label is not None and keeps_label and keeps_columns)


def _said(path: str, labels: Labels) -> LabelLine:
    """Return the image's line in labels.csv; an empty line if labels.csv would match it in an archive, too."""
    return LabelLine(None) if labels.listed(INSIDE, path) else labels.find(path, None)


def _batches(images: list[Loose]) -> Iterator[list[Loose]]:
    batch: list[Loose] = []
    size = 0
    for one in images:
        if batch and (len(batch) == MAX_FILES or size + one.state[0] > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.state[0]
    if batch:
        yield batch


def _packed_before(images: list[Loose]) -> Iterator[str]:
    """Yield the paths of `images` that an interrupted run has packed, with the same bytes, but not unlinked."""
    waiting = {one.path: one for one in images}
    for path in sorted(paths.RAW.glob(f"{PACKED}-*.zip")):
        try:
            with zipfile.ZipFile(path) as archive:
                for name in waiting.keys() & set(archive.namelist()):
                    if archive.read(name) == waiting[name].file.read_bytes():
                        yield name
        except archives.BROKEN:
            continue


def _unlink(images: list[Loose]) -> None:
    for one in images:
        if _state(one.file) == one.state:  # Skip files that were written to meanwhile.
            one.file.unlink()


def _state(file: Path) -> tuple[int, int, int]:
    stat = os.stat(file)  # noqa: PTH116 (Path.stat is slower)
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
