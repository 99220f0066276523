"""Labels of places in data/raw become classes by data/classes.csv."""

from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.places import OUTSIDE, Source, renamed
from pipeline.ingestion.resolving import resolve

IDS = [f"{number:032x}" for number in range(4)]


def source(path: str, image_id: str, label: str | None) -> Source:
    """Return a place that is used if it has a label."""
    return Source(Place(path), image_id, label, None if label else OUTSIDE)


def test_renamed_and_dropped() -> None:
    """Unaffected places stay the same objects; a dropped class is a reason, which does not hide another reason."""
    mapping = ClassMapping([("Cat", "cat"), ("dog", "")])
    found = [
        source("a", IDS[0], "Cat"),
        source("b", IDS[1], "dog"),
        source("c", IDS[2], "emu"),
        source("d", IDS[3], None),
    ]
    cat, dog, emu, outside = renamed(found, mapping)
    assert (cat.label, cat.refusal) == ("cat", None)
    assert dog.refusal == ("dropped class", "its class dog is dropped in data/classes.csv")
    assert emu is found[2]
    assert outside is found[3]


def test_copies_in_merged_classes_are_no_dispute() -> None:
    """An image in two folders is used once their classes are merged."""
    found = [source("Cat/a.png", IDS[0], "Cat"), source("cat/a.png", IDS[0], "cat")]
    images, refused, _ = resolve(renamed(found, ClassMapping([("Cat", "cat")])))
    assert (images["label"].to_pylist(), refused) == (["cat"], [])
    assert len(resolve(found).refused) == 2
