"""Records which files belong to data/raw: in DVC's cache, data/raw.dvc and data/raw.hash."""

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

# How often data/raw may change while DVC adds it to its cache.
TRIES = 3


def record(content: RawContent) -> RawContent:
    """Add the `content` of data/raw to DVC's cache, write data/raw.dvc and data/raw.hash; return the recorded content.

    Raises:
        ImagesError: data/raw keeps changing.
    """
    for _ in range(TRIES):
        if _is_stored(content):
            break
        tracking.commit_raw()
        content = look()
    else:
        what = f"changed {TRIES} times while DVC took it into its cache"
        raise ImagesError(paths.RAW, what, "wait until all is copied, then `dvc repro`")
    note_never_here(content.belonging.absent)  # Before data/raw.dvc: a noted file that is not listed has no effect.
    if content.oid != read_raw_hash():
        write_listing(content.belonging.files, pull=False)
        add_to_index()
    elif objects.listing(repository.repository(), content.oid) is None:
        tracking.store_listing(content.belonging.files)
    write_text(paths.RAW_HASH, content_of(content.oid))
    return content


def write_listing(files: dict[str, str], *, pull: bool) -> None:
    """Make data/raw.dvc list `files`; `pull` states whether to pull them all into DVC's cache."""
    version = paths.RAW_DVC.read_bytes()
    write_text(paths.RAW_DVC, tracking.listing_as(version, files, pull=pull).decode())


def add_to_index() -> None:
    """Add data/raw.dvc to Git's index if DVC's `core.autostage` is on, but only once ingest has read that version.

    Before that, it would look as if Git had moved to another version.
    """
    noted = git_guard.read_note()
    if noted and noted.oid == read_raw_hash() and repository.repository().config["core"].get("autostage"):
        git("add", "--", paths.RAW_DVC.as_posix())


def note_never_here(absent: Iterable[str]) -> None:
    """Note the files `absent` of data/raw; in a fresh clone also note the version of data/raw.dvc that they refer to.

    Without that version, files that Git lists next would seem to have been in this clone.
    """
    note_absent(absent)
    if git_guard.read_note() is None:
        git_guard.note(read_raw_hash())


def note_followed(oid: str) -> None:
    """Note that data/raw, whose hash is `oid`, is in sync with Git, and which of its files were never in this clone."""
    if read_absent() is None:
        note_absent(look().belonging.absent)  # git_guard's note alone would mean that nothing is absent.
    git_guard.note(oid)


def check_whole_record(content: RawContent) -> None:
    """Check that data/raw.dvc lists all never-present files that the last commit lists.

    Raises:
        RecordError: it does not, for example because `dvc add data/raw` lists only the files that are present.
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
    """Put the `files` that are absent according to `content` into data/raw, object by object; return the new content.

    Raises:
        MissingDataError: one of them is not available.
    """
    wanted = content.belonging.absent.intersection(files)
    if not wanted:
        return content
    AbsentFiles.of(content.belonging).bring(wanted)
    return look()


def _is_stored(content: RawContent) -> bool:
    """Whether DVC's cache has all files that are present in data/raw."""
    repo = repository.repository()
    return all(objects.cached_path(repo, md5).exists() for md5 in content.here.values())
