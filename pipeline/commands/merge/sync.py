"""Bringing data/raw in sync with Git, after a merge, pull or checkout, with whatever was put into it meanwhile."""

from typing import NamedTuple

from pipeline import paths
from pipeline.commands.merge.listings import Listing, Side
from pipeline.commands.merge.merging import disagreement, merge_listings, with_listing
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.git import contents, git_text
from pipeline.versioning import fetching, git_guard, objects, repository, tracking
from pipeline.versioning.lock import read_raw_hash
from pipeline.versioning.removals import ALL, note_removals

HINT = (
    "run `pipeline sync --ours` to have such files as they are here, or `--theirs` to have them as Git lists them; "
    "all others are brought together"
)


class FileChange(NamedTuple):
    """How many files of data/raw came, went and changed."""

    added: int
    removed: int
    changed: int


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
        return FileChange(0, 0, 0)
    version, noted = git_guard.content_of(blob), git_guard.read_note()
    if noted is not None and noted.blob == blob:
        return FileChange(0, 0, 0)  # What differs was done here.
    wanted, here = read_raw_hash(version), tracking.hash_raw()
    if wanted in (here, noted and noted.oid):
        git_guard.note(wanted)
        return FileChange(0, 0, 0)
    what = paths.RAW.as_posix()
    fetching.fetch(wanted, what=what, hint="run `dvc push` where it was committed, then `pipeline sync`")
    tracking.commit_raw()  # So that nothing of it can be lost.
    ours, theirs = (fetching.fetch_listing(oid, what=what) for oid in (here, wanted))
    merged = merge_listings(_before(here, noted), ours, theirs, take)
    if merged.conflicts and take is None:
        raise disagreement(merged.conflicts, HINT)
    if merged.files != theirs:
        version = with_listing(version.encode(), merged.files).decode()
    write_text(paths.RAW_DVC, version)
    tracking.checkout_raw()
    git_guard.note(wanted)
    return _change(ours, merged.files)


def begin() -> None:
    """Note that data/raw is in sync with Git's index, if it is, and nothing has been noted here yet."""
    blob = git_guard.indexed()
    if blob and git_guard.read_note() is None and paths.RAW.is_dir():
        wanted = read_raw_hash(git_guard.content_of(blob))
        if tracking.hash_raw() == wanted:
            git_guard.note(wanted)


def keep() -> None:
    """Take data/raw as it is, whatever Git lists: what is gone was removed on purpose."""
    git_guard.note(tracking.hash_raw())
    note_removals([ALL])


def restore() -> FileChange:
    """Bring back what data/raw.dvc lists in the last commit and is not here; everything that is here stays.

    Raises:
        RecordError: Git has no data/raw.dvc.
        MissingDataError: what Git lists cannot be found. Then nothing is changed.
    """
    version, what = git_guard.committed(), paths.RAW.as_posix()
    if version is None:
        raise RecordError(paths.RAW_DVC, "in no commit, so nothing says what was there", "put the images back by hand")
    wanted = read_raw_hash(version)
    fetching.fetch(wanted, what=what, hint="run `dvc push` where it was committed, then `pipeline sync --restore`")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    here = tracking.commit_raw()
    ours, theirs = (fetching.fetch_listing(oid, what=what) for oid in (here, wanted))
    both = {**theirs, **ours}
    write_text(paths.RAW_DVC, version if both == theirs else with_listing(version.encode(), both).decode())
    tracking.checkout_raw()
    git_guard.note(read_raw_hash())
    return _change(ours, both)


def _before(here: str, noted: git_guard.Note | None) -> Listing:
    """What data/raw, whose hash is `here`, held when it was last in sync with Git.

    That is what ingest saw last if it was committed, else Git's version of then. Without a note: what it holds now, if
    that was ever committed; else the largest version of which nothing is missing here, so that something was added to
    it at most; else nothing, so that nothing counts as removed here.
    """
    commits = git_text("log", "--all", "--reflog", "--format=%H", "--full-history", "--", str(paths.RAW_DVC)).split()
    versions = contents((commit, paths.RAW_DVC) for commit in commits)
    known = [read_raw_hash(version.decode()) for version in versions if version]
    if noted is not None:
        oid = noted.oid if noted.oid in known or not noted.blob else read_raw_hash(git_guard.content_of(noted.blob))
        return fetching.fetch_listing(oid, what=paths.RAW.as_posix())
    listed = {oid: objects.listing(repository.repository(), oid) or {} for oid in [here, *known]}
    within = [listed[oid] for oid in known if listed[oid].items() <= listed[here].items()]
    return max(within, key=len, default={})


def _change(before: Listing, now: Listing) -> FileChange:
    common = before.keys() & now.keys()
    changed = sum(before[path] != now[path] for path in common)
    return FileChange(len(now) - len(common), len(before) - len(common), changed)
