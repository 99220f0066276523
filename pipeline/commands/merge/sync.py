"""Bringing data/raw in sync with Git, after a merge, pull or checkout, with whatever was put into it meanwhile.

Where all of data/raw is here, all of it stays so. Where some of it never was, only what is here is replaced or removed;
what others have added stays on the remote, as what else is absent.
"""

from pipeline import paths
from pipeline.commands.merge.listings import Listing, Side
from pipeline.commands.merge.merging import disagreement, merge_listings
from pipeline.errors import MissingDataError, RecordError
from pipeline.files import write_text
from pipeline.git import contents, git_text
from pipeline.versioning import fetching, git_guard, objects, repository, tracking
from pipeline.versioning.hashing import hash_of_listing
from pipeline.versioning.lock import read_raw_hash, read_record
from pipeline.versioning.raw.absence import note_absent, read_absent
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw.content import RawContent, as_listed, files_here, here_alone, listed_in
from pipeline.versioning.raw.recorded import raw_recorded
from pipeline.versioning.raw.recording import write_listing
from pipeline.versioning.raw.rule import FileChange
from pipeline.versioning.removals import ALL, note_removals

HINT = (
    "run `pipeline sync --ours` to have such files as they are here, or `--theirs` to have them as Git lists them; "
    "all others are brought together"
)
PUSH_FIRST = "run `dvc push` where it was committed, then `pipeline sync`"
WHAT = paths.RAW.as_posix()


def sync(take: Side | None = None) -> FileChange:
    """Make data/raw what data/raw.dvc lists in Git's index, with what was done to it here since it was in step.

    `take` says who is right about a file that was changed both here ("ours") and in Git ("theirs").

    Raises:
        RecordError: data/raw.dvc is in conflict.
        MergeError: the same file was changed here and in Git, or an image appeared while this was running. Then
            nothing is changed, or nothing that another try would not end.
        MissingDataError: what Git lists cannot be found. Likewise.
    """
    blob = git_guard.indexed()
    if not blob:
        return FileChange()
    version, noted = git_guard.content_of(blob), git_guard.read_note()
    if noted is not None and noted.blob == blob:
        return FileChange()  # What differs was done here.
    wanted = read_raw_hash(version)
    ours = _ours(noted, wanted)
    if wanted in (ours.oid, noted and noted.oid):
        note_absent(ours.belonging.absent)
        git_guard.note(wanted)
        return FileChange()
    if ours.is_whole:
        fetching.fetch(wanted, what=WHAT, hint=PUSH_FIRST)
    if paths.RAW.is_dir():
        tracking.commit_raw()  # So that nothing of it can be lost.
    theirs = fetching.fetch_listing(wanted, what=WHAT)
    merged = merge_listings(_before(ours, noted), ours.belonging.files, theirs, take)
    if merged.conflicts and take is None:
        raise disagreement(merged.conflicts, HINT)
    if merged.files != theirs:
        version = tracking.listing_as(version.encode(), merged.files, pull=ours.is_whole).decode()
    return _follow(version, ours, merged.files, wanted)


def begin() -> None:
    """Note that data/raw is in sync with Git's index, if it is, and nothing has been noted here yet."""
    blob = git_guard.indexed()
    if blob and git_guard.read_note() is None and paths.RAW.is_dir():
        wanted = read_raw_hash(git_guard.content_of(blob))
        if files_here()[0] == wanted:
            git_guard.note(wanted)


def keep() -> None:
    """Take data/raw as it is, whatever Git lists: what is gone was removed on purpose; what was never here stays."""
    noted = git_guard.read_note()
    try:
        content = _ours(noted, read_raw_hash())
    except MissingDataError:  # Nothing says what was there, so this does.
        content = here_alone()
    if not content.is_whole:
        note_absent(content.belonging.absent)
        write_listing(content.belonging.files, pull=False)
    git_guard.note(content.oid)
    note_removals([ALL])


def restore() -> FileChange:
    """Bring back what is not here of what the last commit lists, and of what ingest last took in; the rest stays.

    Raises:
        RecordError: neither is recorded.
        MissingDataError: what Git lists, or ingest alone has taken in, cannot be found. Then nothing is changed.
    """
    version, theirs = git_guard.committed(), _taken_in()
    if version is not None:
        theirs = {**_fetched(read_raw_hash(version)), **theirs}
    elif not theirs:
        what = "in no commit, and no run has taken images in, so nothing says what was there"
        raise RecordError(paths.RAW_DVC, what, "put the images back by hand")
    else:
        version = paths.RAW_DVC.read_text(encoding="utf-8")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    tracking.commit_raw()
    here = here_alone().here
    # A merge that is not committed may have added to what is absent.
    both = {**theirs, **AbsentFiles.besides(here).md5s, **here}
    write_text(
        paths.RAW_DVC,
        version
        if hash_of_listing(both) == read_raw_hash(version)
        else tracking.listing_as(version.encode(), both, pull=True).decode(),
    )
    tracking.checkout_raw(both)
    note_absent([])
    git_guard.note(read_raw_hash())
    return FileChange.between(here, both)


def _taken_in() -> Listing:
    """What ingest last took in, committed or not; nothing where that is not known, or the commit's alone is had."""
    record = read_record()
    oid = raw_recorded(record["ingest"], pull=True) if "ingest" in record else None
    if oid is None:
        return {}
    try:
        return _fetched(oid)
    except MissingDataError:
        if git_guard.committed() is None:
            raise
        return {}


def _fetched(oid: str) -> Listing:
    """The files of data/raw where its hash is `oid`, all of which are in DVC's cache from now on."""
    fetching.fetch(oid, what=WHAT, hint="run `dvc push` where it was committed, then `pipeline sync --restore`")
    return fetching.fetch_listing(oid, what=WHAT)


def _ours(noted: git_guard.Note | None, wanted: str) -> RawContent:
    """What data/raw holds by what it held when it was last in sync with Git, which lists `wanted` now."""
    oid, here = files_here()
    if oid == wanted or read_absent() == set() or (noted is None and _was_whole(here)):
        return here_alone()
    return as_listed(listed_in(noted.oid if noted else wanted), here)


def _was_whole(here: Listing) -> bool:
    """Whether a version of data/raw that was ever committed is all `here`, so that nothing of it was left out."""
    return any(listing and listing.items() <= here.items() for listing in _known().values())


def _follow(version: str, ours: RawContent, files: dict[str, str], wanted: str) -> FileChange:
    """Make data/raw hold what is to be here of `files`, which `version` of data/raw.dvc lists."""
    present = files if ours.is_whole else {path: md5 for path, md5 in files.items() if path in ours.here}
    for path, md5 in present.items() if not ours.is_whole else ():
        if ours.here[path] != md5:
            fetching.fetch_file(md5, what=f"{WHAT}/{path}", hint=PUSH_FIRST)
    absent = files.keys() - present.keys()
    note_absent(absent)
    write_text(paths.RAW_DVC, version)
    if paths.RAW.is_dir():
        tracking.replace_in_raw(present, ours.here)
        tracking.checkout_raw(present)
    git_guard.note(wanted)
    change = FileChange.between(ours.belonging.files, files)
    return change if ours.is_whole else change._replace(absent=change.added)


def _known() -> dict[str, Listing]:
    """What each version of data/raw lists that was ever committed, as far as DVC's cache has the listing, by hash."""
    repo = repository.repository()
    return {oid: objects.listing(repo, oid) or {} for oid in _committed_hashes()}


def _committed_hashes() -> list[str]:
    """The hashes of all versions of data/raw that were ever committed."""
    commits = git_text("log", "--all", "--reflog", "--format=%H", "--full-history", "--", str(paths.RAW_DVC)).split()
    versions = contents((commit, paths.RAW_DVC) for commit in commits)
    return [read_raw_hash(version.decode()) for version in versions if version]


def _before(ours: RawContent, noted: git_guard.Note | None) -> Listing:
    """What data/raw, which holds `ours`, held when it was last in sync with Git.

    That is what ingest saw last if it was committed, else Git's version of then. Without a note: what it holds now, if
    that was ever committed; else the largest version of which nothing is missing here, so that something was added to
    it at most; else nothing, so that nothing counts as removed here.
    """
    if noted is not None:
        is_kept = noted.oid in _committed_hashes() or not noted.blob
        oid = noted.oid if is_kept else read_raw_hash(git_guard.content_of(noted.blob))
        return fetching.fetch_listing(oid, what=WHAT)
    within = [listing for listing in _known().values() if listing.items() <= ours.belonging.files.items()]
    return max(within, key=len, default={})
