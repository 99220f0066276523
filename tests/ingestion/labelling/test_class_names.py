"""Class names are independent of spaces and encodings, and similar names are found."""

import pytest

from pipeline.ingestion.labelling.class_names import alike, class_name, label_of, ungarbled


@pytest.mark.parametrize("text", ["cat", "cat ", " cat", "cat\u00a0", "\u00a0cat\u2003", "\ufeffcat", "cat\u200b "])
def test_blanks_around_are_no_part_of_a_name(text: str) -> None:
    """`cat`, `cat ` and `cat` with a no-break space are one class, by folder and by file."""
    assert class_name(text) == "cat"
    assert label_of(f"{text}/1.png", None) == label_of("x.zip", f"{text}/1.png") == "cat"


@pytest.mark.parametrize("text", ["", " ", "\u00a0", "a/b", "a\nb", "cat\n", "\x00"])
def test_what_names_no_class(text: str) -> None:
    """Only spaces, a slash, or a control character are no class name."""
    assert class_name(text) is None


def test_folders_above_are_passed_over() -> None:
    """With `strip` the class is a deeper folder; if there is none, the image has no class."""
    assert label_of("a.zip", "My Dataset/cat/1.png", 1) == "cat"
    assert label_of("All/b.zip", "My Dataset/cat/1.png", 2) == "cat"
    assert label_of("a.zip", "My Dataset/1.png", 1) is None


def test_classes_that_look_like_one() -> None:
    """Names that differ by case, accents, kinds of space or encoding are similar; other letters and scripts are not."""
    labels = [
        "CAT",
        "cat",
        "Cat",
        "tabby cat",
        "tabby\u00a0cat",
        "ﬁsh",
        "fish",
        "dog",
        "dogs",
        "café",
        "cafe",
        "か",
        "が",
    ]
    assert alike(labels) == [["CAT", "Cat", "cat"], ["cafe", "café"], ["fish", "ﬁsh"], ["tabby cat", "tabby\u00a0cat"]]


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("k├ñtze", "kätze"),
        ("kÃ¤tze", "kätze"),
        ("k┼tze", ""),
        ("kätze", None),
        ("cat", None),
        ("猫", None),
        ("кот", None),
        ("Ærø", None),
    ],
)
def test_garbled_names(label: str, meant: str | None) -> None:
    """UTF-8 that was decoded with a code page is detected, and so are names that cannot be right."""
    assert ungarbled(label) == meant
