"""`pipeline classes` and its verbs `rename`, `merge`, `split` and `drop`."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.commands.terminal import print_table
from pipeline.errors import RecordError
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.commands.classes.listing import ClassListing
    from pipeline.ingestion.labelling.mapping import ClassMapping

LOCK = paths.PROGRESS / "classes.lock"
# Minimum number of classes for training.
FEWEST = 2


def register(command: Register) -> None:
    """Add `pipeline classes`."""
    all_ = command(_classes, "list classes; rename, merge, split or drop them")
    all_.add_argument("--json", action="store_true", help="print the list as JSON")
    verbs = all_.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    sub = verbs.add_parser("rename", help="give a class another name")
    sub.add_argument("olds", nargs=1, metavar="OLD")
    sub.add_argument("new", metavar="NEW")
    sub = verbs.add_parser("merge", help="merge OLD classes into NEW, which may exist already")
    sub.add_argument("olds", nargs="+", metavar="OLD")
    sub.add_argument("new", metavar="NEW")
    sub = verbs.add_parser("split", help="split a class; the new classes start from copies of its row in the model")
    sub.add_argument("old", metavar="OLD")
    sub.add_argument("news", nargs="+", metavar="NEW")
    sub = verbs.add_parser("drop", help="leave out all images of a class")
    sub.add_argument("old", metavar="OLD")


def _classes(args: argparse.Namespace) -> int:
    from pipeline.commands.classes.listing import ClassListing
    from pipeline.ingestion.labelling.mapping import ClassMapping

    if args.verb is None:
        mapping = ClassMapping.read()
        listing = ClassListing(mapping)
        if args.json:
            classes = {name: {"images": listing.images[name]} for name in sorted(listing.images)}
            print(json.dumps({"classes": classes, "became": mapping.heirs}, indent=2, ensure_ascii=False))
        else:
            _print(mapping, listing)
        return 0
    with _alone():
        mapping = ClassMapping.read()
        listing = ClassListing(mapping)
        changes = {"rename": _rename, "merge": _merge, "split": _split, "drop": _drop}
        changed, said = changes[args.verb](args, mapping, listing)
        _check(changed, listing)
        changed.write()
    for line in said:
        print(shown(line))
    print(f"next: dvc repro && git add {paths.CLASSES} {paths.LOCK} data/report && git commit")
    return 0


def _print(mapping: "ClassMapping", listing: "ClassListing") -> None:
    former: dict[str, list[str]] = {}
    for old in mapping.heirs:
        if (label := mapping.label(old)) is not None and label != old:
            former.setdefault(label, []).append(old)
    rows = [
        [shown(name), count, shown(", ".join(former.get(name, [])))] for name, count in sorted(listing.images.items())
    ]
    print_table([["class", "images", "formerly"], *rows, ["all", listing.images.total(), ""]])
    for old, heirs in mapping.heirs.items():
        if mapping.label(old) is None:
            print(f"dropped: {shown(old)}")
        elif mapping.is_split(old):
            print(f"split: {shown(old)} into {shown(' and '.join(heirs))}")


Change = tuple["ClassMapping", list[str]]


def _rename(args: argparse.Namespace, mapping: "ClassMapping", listing: "ClassListing") -> Change:
    from pipeline.commands.classes.editing import merge
    from pipeline.commands.classes.listing import name_of

    old, new = listing.find(args.olds[0]), name_of(args.new)
    if new in listing.images:
        hint = "give another name" if new == old else f"`pipeline classes merge` makes one class of {old} and {new}"
        raise RecordError(shown(new), "is a class already", shown(hint))
    images = counted(listing.images[old], "image")
    said = f"{old} renamed to {new}: {images}; training continues with the model's row of {old}; no image is new"
    return merge(mapping, [old], new), [said]


def _merge(args: argparse.Namespace, mapping: "ClassMapping", listing: "ClassListing") -> Change:
    from pipeline.commands.classes.editing import merge
    from pipeline.commands.classes.listing import name_of

    olds, new = list(dict.fromkeys(map(listing.find, args.olds))), name_of(args.new)
    all_ = list(dict.fromkeys([*olds, *([new] if new in listing.images else [])]))
    if len(all_) < FEWEST:
        listing.find(new)  # Raises an error that suggests the nearest class.
        raise RecordError(shown(new), "cannot be merged with itself", "name another class")
    images = counted(sum(listing.images[name] for name in all_), "image")
    said = f"{' and '.join(all_)} merged into {new}: {images}; training continues with the mean of the model's rows"
    return merge(mapping, olds, new), [said]


def _split(args: argparse.Namespace, mapping: "ClassMapping", listing: "ClassListing") -> Change:
    from pipeline.commands.classes.editing import split
    from pipeline.commands.classes.listing import name_of

    old, news = listing.find(args.old), list(dict.fromkeys(map(name_of, args.news)))
    if news == [old]:
        raise RecordError(shown(old), "cannot be split into itself alone", "name the new classes")
    left = counted(listing.images[old], "image is", "images are")
    return split(mapping, old, news), [
        f"{old} split into {' and '.join(news)}: they start from copies of the model's row of {old}",
        f"{left} still labelled {old}; give their new classes in {paths.RAW}/labels.csv or by folders",
    ]


def _drop(args: argparse.Namespace, mapping: "ClassMapping", listing: "ClassListing") -> Change:
    from pipeline.commands.classes.editing import drop

    old = listing.find(args.old)
    images = counted(listing.images[old], "image")
    said = f"{old} dropped: {images} left out, and listed in {paths.REFUSED}; the model's row of {old} will be removed"
    return drop(mapping, old), [said]


def _check(changed: "ClassMapping", listing: "ClassListing") -> None:
    left = {changed.label(name) for name in listing.images} - {None}
    if len(left) < FEWEST <= len(listing.images):
        what = f"only {counted(len(left), 'class', 'classes')} would be left"
        raise RecordError(paths.CLASSES, what, "training needs at least two")


@contextmanager
def _alone() -> Iterator[None]:
    from pipeline.locking import locked

    paths.PROGRESS.mkdir(parents=True, exist_ok=True)
    what = "another `pipeline classes` is changing it"
    with locked(LOCK, taken=lambda: RecordError(paths.CLASSES, what, "wait until that has ended")):
        yield
