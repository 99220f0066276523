"""Writing down what belongs to data/raw: into DVC's cache, data/raw.dvc and data/raw.hash."""

from collections.abc import Iterable

from pipeline import paths
from pipeline.errors import ImagesError, RecordError
from pipeline.files import write_text
from pipeline.git import git, unfinished
from pipeline.text import counted
from pipeline.versioning import git_guard, objects, repository, tracking
from pipeline.versioning.lock import read_raw_hash
from pipeline.versioning.raw.absence import never_here, note_absent, read_absent
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw.content import RawContent, listed_in, look
from pipeline.versioning.raw.recorded import content_of

# How often data/raw may change while it is taken into the cache.
TRIES = 3


def record(content: RawContent) -> RawContent:
    """Take the `content` of data/raw into DVC's cache, and write data/raw.dvc and data/raw.hash; returns it.

    Raises:
        ImagesError: something is written to data/raw all the time.
    """
    for _ in range(TRIES):
        if _is_stored(content):
            break
        tracking.commit_raw()
        content = look()
    else:
        what = f"changed {TRIES} times while DVC took it into its cache"
        raise ImagesError(paths.RAW, what, "wait until all is copied, then `dvc repro`")
    note_never_here(content.belonging.absent)  # Before data/raw.dvc: what is noted and not listed means nothing.
    if content.oid != read_raw_hash():
        write_listing(content.belonging.files, pull=False)
        add_to_index()
    elif objects.listing(repository.repository(), content.oid) is None:
        tracking.store_listing(content.belonging.files)
    write_text(paths.RAW_HASH, content_of(content.oid))
    return content


def write_listing(files: dict[str, str], *, pull: bool) -> None:
    """Let data/raw.dvc list `files`; `pull` says whether DVC's cache is to have all of them."""
    version = paths.RAW_DVC.read_bytes()
    write_text(paths.RAW_DVC, tracking.listing_as(version, files, pull=pull).decode())


def add_to_index() -> None:
    """Put data/raw.dvc into Git's index where DVC is to do that by itself, once it is what ingest has taken in.

    Not before: it would look as if Git had gone on to it.
    """
    noted = git_guard.read_note()
    if noted and noted.oid == read_raw_hash() and repository.repository().config["core"].get("autostage"):
        git("add", "--", paths.RAW_DVC.as_posix())


def note_never_here(absent: Iterable[str]) -> None:
    """Note the files `absent` of data/raw; in a fresh clone, too, of which version of data/raw.dvc that is said.

    Else what Git brings next would seem to have been here.
    """
    note_absent(absent)
    if git_guard.read_note() is None:
        git_guard.note(read_raw_hash())


def note_followed(oid: str) -> None:
    """Note that data/raw, whose hash is `oid`, is in sync with Git, and what of it was never here."""
    if read_absent() is None:
        note_absent(look().belonging.absent)  # Else a note of the one alone says that nothing is absent.
    git_guard.note(oid)


def check_whole_record(content: RawContent) -> None:
    """See that data/raw.dvc lists what was never here, as far as the last commit does.

    Raises:
        RecordError: it does not: `dvc add data/raw`, for example, knows only what is here.
    """
    if read_absent() == set() or unfinished():
        return
    committed, recorded = git_guard.committed_hash(), read_raw_hash()
    if committed in (None, recorded):
        return
    lost = never_here(listed_in(str(committed)), content.here) - listed_in(recorded).keys()
    if lost:
        what = f"leaves out {counted(len(lost), 'file')} that nobody removed, since they have never been here"
        raise RecordError(paths.RAW_DVC, what, f"run `git checkout HEAD {paths.RAW_DVC}`, then `dvc repro`")


def bring(files: Iterable[str], content: RawContent) -> RawContent:
    """Put those of `files` into data/raw that belong to it, by its `content`, and are not here; one object each.

    Raises:
        MissingDataError: one of them is not to be had.
    """
    wanted = content.belonging.absent.intersection(files)
    if not wanted:
        return content
    AbsentFiles.of(content.belonging).bring(wanted)
    return look()


def _is_stored(content: RawContent) -> bool:
    """Whether DVC's cache has all files that are here."""
    repo = repository.repository()
    return all(objects.cached_path(repo, md5).exists() for md5 in content.here.values())
