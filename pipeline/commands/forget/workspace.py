"""Find the files of the project's folder, apart from data/raw, that contain images or were made from them."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline import paths
from pipeline.commands.forget.contents import has_seen_any, lists_any
from pipeline.commands.forget.remnants import LISTS, SHOWN
from pipeline.commands.forget.stores import UNFINISHED_COPY
from pipeline.commands.next.batch import BATCH
from pipeline.errors import CheckpointError
from pipeline.files import md5_of_file
from pipeline.images.shards import names_in, shards_in
from pipeline.lineage.seen_images import SEEN

EXPORTS = paths.DATA / "export"
# Unfinished work that the next run redoes: decoded images, shards, checkpoints, and results of comparisons.
UNFINISHED = tuple(
    paths.PROGRESS / name
    for name in ("train", "ingest", "compaction", "manifest", "base", "near-duplicates", "replacing")
)


def shards_with(ids: Collection[str]) -> list[Path]:
    """Return the shards in data/shards that contain one of the images, by the names of their members."""
    return [path for path in shards_in(paths.SHARDS) if not ids_in(path).isdisjoint(ids)]


def ids_in(shard: Path) -> set[str]:
    """Return the ids of all images in the file `shard`."""
    return {Path(name).stem for name in names_in(shard)}


def made_of(ids: Collection[str], stored: Collection[str]) -> list[Path]:
    """Return the sorted files and folders to delete because they may contain one of the images or were made from it.

    `stored` are the MD5s of the images as they were stored in shards.
    """
    models = [folder for folder in (paths.MODEL, paths.BASE) if _has_seen(folder, ids)]
    chosen = (path for path in paths.DATA.glob(f"{BATCH}*/*") if path.is_file() and md5_of_file(path) in ids)
    found = [*models, *_reports(ids), *chosen, *(path for path in UNFINISHED if path.exists())]
    if _are_decoded({*ids, *stored}):
        found.append(paths.DECODED)
    found.extend(path for path in paths.DATA.rglob(".*.tmp") if UNFINISHED_COPY.fullmatch(path.name))
    # It cannot be determined which images these files contain.
    found.extend(path for path in (paths.FEATURES, paths.PAGES, paths.STORED) if path.exists())
    if models and EXPORTS.exists():
        found.append(EXPORTS)
    return sorted(found)


def delete(path: Path) -> None:
    """Delete a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _are_decoded(stored: Collection[str]) -> bool:
    """Whether data/.decoded contains the pixels of an image whose stored bytes have one of these MD5s."""
    digests = [bytes.fromhex(md5) for md5 in stored]
    return any(digest in path.read_bytes() for path in paths.DECODED.glob("*.rows") for digest in digests)


def _has_seen(model: Path, ids: Collection[str]) -> bool:
    """Whether the model in the folder `model` has seen one of the images; True if its seen.npz cannot be read."""
    if not any(path.name != "none" for path in model.glob("*")):
        return False
    try:
        return has_seen_any(model / SEEN, ids)
    except CheckpointError:
        return True


def _reports(ids: Collection[str]) -> Iterator[Path]:
    lists = [path for path in map(Path, {*LISTS, *SHOWN}) if path.suffix == ".csv" and path.exists()]
    if any(lists_any(path, ids) for path in lists) or not lists:
        yield from (path for path in map(Path, SHOWN) if path.exists())
