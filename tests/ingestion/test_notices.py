"""Unusual files and names that are used are reported, each once."""

from pipeline.ingestion.collection import Refused
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.notices import (
    LOOK,
    MOST,
    class_notices,
    garbled_notices,
    name_notices,
    picture_notices,
    reason_notices,
    refusal_notices,
    table_notices,
)
from pipeline.ingestion.wrappers import REASON


def test_classes_that_look_like_one() -> None:
    """Similar class names are named with their counts."""
    (notice,) = class_notices({"CAT": 1, "cat": 1200, "dog": 5})
    assert notice.startswith("classes 'CAT' (1 image) and 'cat' (1,200 images) differ in case, accents or blanks only")


def test_misspelt_classes() -> None:
    """A small class with nearly the name of a large one is reported; numbers and pairs of small classes are not."""
    (notice,) = class_notices({"Flagen": 3, "Flaggen": 175, "Flags": 9, "breed 12": 2, "breed 13": 400})
    assert notice == (
        "class 'Flagen' has 3 images, and 'Flaggen' has 175; if they are one: `pipeline classes merge Flagen Flaggen`"
    )
    assert class_notices({"Flagen": 3, "Flaggen": 99}) == class_notices({"Flagen": 10, "Flaggen": 175}) == []
    assert class_notices({f"class {'x' * number}": 1 + number % 2 * 200 for number in range(1000)}) == []


def test_tables_are_no_labels() -> None:
    """A spreadsheet next to the images is reported with what would be read."""
    (notice,) = table_notices(["a/b.png", "more/Labels.XLSX"])
    assert notice.startswith(
        "more/Labels.XLSX is not read; if it says which image is of which class, save it as labels.csv"
    )


def test_names_that_are_not_certain() -> None:
    """A class with an uncertain name is reported once per archive, with the row that would correct it."""
    members = ["caf\u2591/1.png", "caf\u2591/2.png", "cat/\u2591.png", "d\\xe9/1.png"]
    found = [("a.zip", member, "is odd", Labels()) for member in members]
    assert name_notices(found) == [
        "a.zip: the name of class 'caf\u2591' is odd; if it has another, add to labels.csv: a.zip!/caf\u2591/*,NAME",
        "a.zip: the name of class 'd\\\\xe9' is odd; if it has another, add to labels.csv: a.zip!/d\\xe9/*,NAME",
    ]


def test_unclear_archives_are_counted() -> None:
    """Unclear archives get one line each, up to a limit."""
    refused = [Refused(f"a.zip!/{number}", "", REASON, "why a") for number in range(3)] + [
        Refused("x", "", "empty", "")
    ]
    assert refusal_notices(refused) == ["3 images refused: why a"]
    many = [Refused("x", "", REASON, f"why {number}") for number in range(MOST + 2)]
    assert refusal_notices(many)[-1] == "… and 2 more like that"


def test_images_of_little_range_are_counted() -> None:
    """Images with a narrow range are counted in one line, with a few examples."""
    assert picture_notices({}) == []
    (one,) = picture_notices({"a.png": "0…9 of 0…255"})
    assert one.startswith(
        "1 image uses less than a tenth of the range of values (a.png: 0…9 of 0…255); set ingest.range"
    )
    (many,) = picture_notices({f"{number}.png": "0…9 of 0…255" for number in range(2000)})
    assert many.startswith("2,000 images use less")
    assert many.count(".png: ") == 3


def test_reasons_are_counted() -> None:
    """Reasons are counted, the most frequent first, each with an example."""
    refused = [Refused("a", "", "empty", ""), Refused("b", "", "link", ""), Refused("c", "", "link", "")]
    assert reason_notices(refused) == [f"refused: 2 link (b), 1 empty (a); to see them: {LOOK}"]
    assert reason_notices([]) == []


def test_garbled_classes_are_named() -> None:
    """Garbled class names are reported with the probable name, if there is one."""
    (notice,) = garbled_notices(["cat", "k├ñtze"])
    assert notice.startswith("the name of class 'k├ñtze' looks garbled, 'kätze' may be meant; if so, rename its folder")
