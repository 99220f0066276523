"""`pipeline register`: register a commit's model as a version in DVC's model registry, which consists of Git tags."""

import argparse
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.errors import RecordError, one_line
from pipeline.text import short, shown

if TYPE_CHECKING:
    from pipeline.lineage.lineage import Recorded

# The model's name in dvc.yaml.
NAME = "model"


def register(command: Register) -> None:
    """Add `pipeline register`."""
    sub = command(_register, "register an accepted model as a version in DVC's model registry")
    sub.add_argument("version", nargs="?", metavar="VERSION", help="the version, such as v1.2.0; default: the next one")
    sub.add_argument("--rev", default="HEAD", help="the commit that records it; default: HEAD")
    # Stored as `assigned`, since `stage` means a stage of dvc.yaml elsewhere.
    sub.add_argument(
        "--stage", dest="assigned", metavar="STAGE", help="also assign the version to this stage, such as prod"
    )


def _register(args: argparse.Namespace) -> int:
    from gto import api
    from gto.exceptions import GTOException, VersionExistsForCommit

    recorded, tags = _accepted(args.rev), []
    try:
        try:
            tags.append(api.register(".", NAME, args.rev, version=args.version))
        except VersionExistsForCommit:
            if not args.assigned or not _is_version(args.version, args.rev):
                raise
        if args.assigned:
            tags.append(api.assign(".", NAME, args.assigned, ref=args.rev))
    except GTOException as error:
        raise RecordError(NAME, shown(one_line(error)), f"`gto show {NAME}` lists what is registered") from None
    names = [str(tag.tag) for tag in tags]
    print(f"registered {' and '.join(names)}: {short(recorded.model)}, generation {recorded.generation}")
    print(f"next: dvc push && git push origin {' '.join(repr(name) for name in names)}")
    return 0


def _is_version(version: str | None, revision: str) -> bool:
    """Whether `version` is the version of the commit `revision`, which is registered; True if no version is given."""
    from pipeline.git import git_text

    return version is None or f"{NAME}@{version}" in git_text("tag", "--points-at", revision).splitlines()


def _accepted(revision: str) -> "Recorded":
    """Return what the commit `revision` records about its model.

    Raises:
        RecordError: the commit records no model, its dvc.lock records a different one, or the model is not accepted.
    """
    from pipeline.git import contents
    from pipeline.lineage.acceptance import read_judgements
    from pipeline.lineage.base import MODEL
    from pipeline.lineage.history import recorded_at
    from pipeline.versioning.lock import parse_record

    where, recorded = shown(revision), recorded_at(revision)
    if recorded is None:
        raise RecordError(where, "records no model", "run `dvc repro`, commit, and name that commit by --rev")
    (lock,) = contents([(revision, paths.LOCK)])
    train = parse_record(lock or b"", f"{paths.LOCK} of {where}").get("train")
    if train is None or train.outs.get(MODEL) != recorded.model:
        what = f"{paths.LOCK} and {paths.REPORT} record different models"
        raise RecordError(where, what, "run `dvc repro`, and commit all that it writes")
    judgement = read_judgements().get(recorded.model)
    if not (judgement.accepted if judgement else recorded.accepted is not False):
        why = f"refused by hand: {judgement.why}" if judgement else f"not accepted: {recorded.verdict}"
        hint = "register an earlier one by --rev, or `pipeline accept` it"
        raise RecordError(where, f"generation {recorded.generation} is {why}", hint)
    return recorded
