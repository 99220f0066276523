"""Brings data/raw in sync with Git after a merge, pull or checkout, and keeps the local changes made meanwhile.

Where all files of data/raw are present, they stay so. Where some were never in this clone, only files that are present
are replaced or removed; files that others have added stay on the remote, like the other absent files.
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
    "run `pipeline sync --ours` to keep your version of such files, or `--theirs` to take Git's; "
    "all other files are merged"
)
PUSH_FIRST = "run `dvc push` where it was committed, then `pipeline sync`"
WHAT = paths.RAW.as_posix()


def sync(take: Side | None = None) -> FileChange:
    """Make data/raw what data/raw.dvc lists in Git's index, plus the local changes since it was last in sync.

    `take` is the side that wins for a file that was changed both locally ("ours") and in Git ("theirs").

    After an error, nothing is changed, or only what another try completes.

    Raises:
        RecordError: data/raw.dvc is in conflict.
        MergeError: the same file was changed locally and in Git, or an image appeared while this was running.
        MissingDataError: files that Git lists cannot be found.
    """
    blob = git_guard.indexed()
    if not blob:
        return FileChange()
    version, noted = git_guard.content_of(blob), git_guard.read_note()
    if noted is not None and noted.blob == blob:
        return FileChange()  # All differences are local changes.
    wanted = read_raw_hash(version)
    ours = _ours(noted, wanted)
    if wanted in (ours.oid, noted and noted.oid):
        note_absent(ours.belonging.absent)
        git_guard.note(wanted)
        return FileChange()
    if ours.is_whole:
        fetching.fetch(wanted, what=WHAT, hint=PUSH_FIRST)
    if paths.RAW.is_dir():
        tracking.commit_raw()  # So that no local file can be lost.
    theirs = fetching.fetch_listing(wanted, what=WHAT)
    merged = merge_listings(_before(ours, noted), ours.belonging.files, theirs, take)
    if merged.conflicts and take is None:
        raise disagreement(merged.conflicts, HINT)
    if merged.files != theirs:
        version = tracking.listing_as(version.encode(), merged.files, pull=ours.is_whole).decode()
    return _follow(version, ours, merged.files, wanted)


def begin() -> None:
    """Note that data/raw is in sync with Git's index, if it is and nothing has been noted in this clone yet."""
    blob = git_guard.indexed()
    if blob and git_guard.read_note() is None and paths.RAW.is_dir():
        wanted = read_raw_hash(git_guard.content_of(blob))
        if files_here()[0] == wanted:
            git_guard.note(wanted)


def keep() -> None:
    """Accept data/raw as it is, whatever Git lists: missing files are removals, except those never in this clone."""
    noted = git_guard.read_note()
    try:
        content = _ours(noted, read_raw_hash())
    except MissingDataError:  # No record states which files were there, so the present ones count.
        content = here_alone()
    if not content.is_whole:
        note_absent(content.belonging.absent)
        write_listing(content.belonging.files, pull=False)
    git_guard.note(content.oid)
    note_removals([ALL])


def restore() -> FileChange:
    """Restore missing files that the last commit lists, or that ingest last read; all present files stay.

    Raises:
        RecordError: there is neither such a commit nor a record of ingest.
        MissingDataError: files that Git lists, or that only ingest has recorded, cannot be found. Then nothing is
            changed.
    """
    version, theirs = git_guard.committed(), _taken_in()
    if version is not None:
        theirs = {**_fetched(read_raw_hash(version)), **theirs}
    elif not theirs:
        what = "in no commit, and no run has recorded images, so it is not known which files were there"
        raise RecordError(paths.RAW_DVC, what, "put the images back by hand")
    else:
        version = paths.RAW_DVC.read_text(encoding="utf-8")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    tracking.commit_raw()
    here = here_alone().here
    # An uncommitted merge may have added absent files.
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
    """Return the files that ingest last read, committed or not.

    The result is empty if they are not known, or if they cannot be found but the last commit lists files.
    """
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
    """Return the files of data/raw in the version with the hash `oid`, after fetching all of them into DVC's cache."""
    fetching.fetch(oid, what=WHAT, hint="run `dvc push` where it was committed, then `pipeline sync --restore`")
    return fetching.fetch_listing(oid, what=WHAT)


def _ours(noted: git_guard.Note | None, wanted: str) -> RawContent:
    """Return the content of data/raw, given the last note of a sync with Git; Git lists `wanted` now."""
    oid, here = files_here()
    if oid == wanted or read_absent() == set() or (noted is None and _was_whole(here)):
        return here_alone()
    return as_listed(listed_in(noted.oid if noted else wanted), here)


def _was_whole(here: Listing) -> bool:
    """Whether all files of some committed version of data/raw are `here`, so that the clone was complete."""
    return any(listing and listing.items() <= here.items() for listing in _known().values())


def _follow(version: str, ours: RawContent, files: dict[str, str], wanted: str) -> FileChange:
    """Make data/raw contain `files`, which `version` of data/raw.dvc lists, except those that are to stay absent."""
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
    """Return the listing of each committed version of data/raw by hash; empty where DVC's cache lacks the listing."""
    repo = repository.repository()
    return {oid: objects.listing(repo, oid) or {} for oid in _committed_hashes()}


def _committed_hashes() -> list[str]:
    """Return the hashes of all versions of data/raw that were ever committed."""
    commits = git_text("log", "--all", "--reflog", "--format=%H", "--full-history", "--", str(paths.RAW_DVC)).split()
    versions = contents((commit, paths.RAW_DVC) for commit in commits)
    return [read_raw_hash(version.decode()) for version in versions if version]


def _before(ours: RawContent, noted: git_guard.Note | None) -> Listing:
    """Return the files that data/raw, which is `ours` now, had when it was last in sync with Git.

    With a note, this is the version that ingest read last if it was committed, else Git's version at that time. Without
    a note, it is the present version if it was ever committed; else the largest version of which no file is missing, so
    that files were at most added; else no files, so that none counts as removed locally.
    """
    if noted is not None:
        is_kept = noted.oid in _committed_hashes() or not noted.blob
        oid = noted.oid if is_kept else read_raw_hash(git_guard.content_of(noted.blob))
        return fetching.fetch_listing(oid, what=WHAT)
    within = [listing for listing in _known().values() if listing.items() <= ours.belonging.files.items()]
    return max(within, key=len, default={})
