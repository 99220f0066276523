"""Taking images out of data/raw: out of folders and out of archives, every copy of them."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from tqdm import tqdm

from pipeline import paths
from pipeline.commands.data.remainder import write_remainder
from pipeline.errors import ImagesError, RecordError, one_line
from pipeline.files import md5_of_bytes, md5_of_file, put
from pipeline.ingestion.catalogue import Catalogue, Listing, read_catalogue
from pipeline.ingestion.decoding import MAX_FILE
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.places import Knowledge, Source, list_new_archives, sources
from pipeline.ingestion.unpacking import archives
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.params import read_params
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw.recording import note_never_here
from pipeline.versioning.raw_files import RawFile, changed_files, raw_files

HEX = set("0123456789abcdef")
# A prefix of an id must have as many digits to be taken for one.
SHORTEST = 8
DIGITS = 32


def holdings() -> list[Source]:
    """Every place in data/raw as it is now, be it here or not, with the image's id wherever that can be read.

    Of what is not here, only archives that no run of ingest has read are fetched.
    """
    here = _hashed(set(loose_paths()))
    absent = AbsentFiles.besides(here)
    files = [RawFile(path, md5) for path, md5 in sorted({**absent.md5s, **here}.items())]
    listing = Listing.of(read_params().ingest)
    contents = list_new_archives(files, read_catalogue(), listing, absent)
    _read_members(files, contents, absent)
    return list(sources(files, contents, Labels(columns=listing.columns), Knowledge()))


def loose_paths() -> Iterator[str]:
    """The path of every file, sorted folder by folder, relative to data/raw."""
    for folder, below, names in os.walk(paths.RAW):
        below.sort()
        yield from (Path(folder, name).relative_to(paths.RAW).as_posix() for name in sorted(names))


def absent_files() -> AbsentFiles:
    """What belongs to data/raw and was never here, as far as that is known."""
    return AbsentFiles.besides(dict.fromkeys(loose_paths(), ""))


def choose(patterns: Iterable[str], held: list[Source]) -> tuple[list[Source], list[Source]]:
    """The places that `patterns` (ids, sources, globs) name, and those of other copies of the same images.

    Raises:
        ImagesError: a pattern names nothing, or begins the ids of several images.
    """
    exactly: dict[str, list[Source]] = {}
    for source in held:
        for name in {source.name, source.place.path, source.id or source.name}:
            exactly.setdefault(name, []).append(source)
    named: dict[int, Source] = {}
    for pattern in patterns:
        # A path that the shell completed begins in the project's folder.
        below = pattern.removeprefix(f"{paths.RAW}/")
        matching = exactly.get(pattern) or exactly.get(below) or _matching(pattern, held) or _matching(below, held)
        if not matching:
            near = get_close_matches(pattern, [source.name for source in held[:20_000]], n=1, cutoff=0)
            hint = f"the nearest is {near[0]}" if near else "there is nothing in it"
            raise ImagesError(paths.RAW, f"nothing in it is called {pattern!r}", hint)
        named |= {id(source): source for source in matching}
    ids = {source.id for source in named.values() if source.id}
    copies = [source for source in held if source.id in ids and id(source) not in named]
    return [source for source in held if id(source) in named], copies


def gone_already(patterns: Iterable[str], held: list[Source]) -> set[str]:
    """Those of `patterns` that are ids of no image in data/raw."""
    ids = {source.id for source in held}
    return {one for one in patterns if len(one) == DIGITS and set(one) <= HEX and one not in ids}


def remove(named: list[Source], copies: list[Source], held: list[Source], folder: Path) -> None:
    """Take the images out; copies first, so that after a kill the same command finds the rest again.

    Raises:
        ImagesError: an archive cannot be rewritten; it is as it was.
    """
    members = Counter(source.place.path for source in held)
    dropped: dict[str, set[int]] = {}
    for source in [*copies, *named]:
        dropped.setdefault(source.place.path, set()).add(source.place.position)
    last = {source.place.path for source in named}
    absent = absent_files()
    for path in sorted(dropped, key=lambda path: path in last):
        if len(dropped[path]) < members[path]:
            absent.bring([path])
            _rewrite(paths.RAW / path, dropped[path], folder)
        elif path not in absent:
            (paths.RAW / path).unlink()
    if absent.md5s:
        note_never_here(absent.md5s.keys() - dropped.keys())  # What is listed, and neither here nor noted, is removed.


def _rewrite(path: Path, dropped: set[int], folder: Path) -> None:
    aside = folder / path.name
    try:
        write_remainder(path, dropped, aside)
    except archives.BROKEN as error:
        raise ImagesError(path, f"cannot be rewritten: {one_line(error)}", "repair or remove the archive") from None
    put(aside, path)


def _matching(pattern: str, held: list[Source]) -> list[Source]:
    if SHORTEST <= len(pattern) <= DIGITS and set(pattern.lower()) <= HEX:
        found = [source for source in held if (source.id or "").startswith(pattern.lower())]
        if len({source.id for source in found}) > 1:
            raise ImagesError(paths.RAW, f"the ids of several images begin with {pattern}", "give more of it")
        if found:
            return found
    return [source for source in held if fnmatchcase(source.name, pattern)]


def _hashed(there: set[str]) -> dict[str, str]:
    """The MD5 of each of the files `there`, empty where it cannot be read.

    Those that DVC has hashed, and that are as they were, are not read.
    """
    try:
        listed = [file for file in raw_files() if file.path in there] if paths.RAW_DVC.exists() else []
    except RecordError:
        listed = []  # Its listing is lost.
    known = dict(listed) if not listed else dict(set(listed) - set(changed_files(listed)))
    todo = sorted(there - known.keys())
    for path in tqdm(todo, "hashing", unit=" files", disable=None):
        known[path] = _md5(paths.RAW / path)
    return known


def _md5(file: Path) -> str:
    if not file.is_file():  # A pipe would be waited for.
        return ""
    try:
        return md5_of_file(file)
    except OSError:
        return ""


def _read_members(files: list[RawFile], contents: Catalogue, absent: AbsentFiles) -> None:
    """Fill in the ids of members that ingest has not seen."""
    for file in files:
        unread = [member for member in contents.get(file.md5, []) if member.id is None and member.refusal is None]
        if not is_archive(file.path) or not unread:
            continue
        absent.fetch([file.path])
        archive = archives.open_archive(absent.at(file.path))
        for member in tqdm(unread, f"reading {file.path}", unit=" images", disable=None):
            try:
                raw = archive.read(member.position, MAX_FILE)
            except archives.BROKEN:
                continue
            member.id = md5_of_bytes(raw)
