"""Where the folders of an archive may not be its classes, nothing is guessed, and nothing that is clear is asked."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.wrappers import REASON, group_of, wrapped

WRAPPED = ("photos.zip!/My Dataset/cat/1.png", "photos.zip!/My Dataset/dog/2.png")


def places(sources: Iterable[str]) -> list[Place]:
    """Places of these names."""
    return [Place(path, member or None) for path, _, member in (source.partition("!/") for source in sources)]


def asked(*sources: str, labels: Labels | None = None) -> set[str]:
    """The archives that are refused until it is said which of their folders are classes."""
    return set(wrapped(places(sources), labels or Labels(classes=())))


def test_a_wrapper_is_asked_about() -> None:
    """Issue 14, 5: one folder around all others, as `download as zip` makes it; the reason says how to mean it."""
    (refusal,) = wrapped(places(WRAPPED), Labels(classes=())).values()
    assert refusal.reason == REASON
    assert "photos.zip lie in 'My Dataset', which holds the folders cat, dog" in refusal.detail
    assert "ingest.strip: {photos.zip: 1}" in refusal.detail


@pytest.mark.parametrize(
    "sources",
    [
        [*WRAPPED, "photos.zip!/My Dataset/README.txt", "photos.zip!/cover.png"],
        ["a.zip!/train/cat/1.png", "a.zip!/test/cat/2.png", "a.zip!/val/dog/2.png"],
        ["photos/a.zip!/cat/1.png", "photos/a.zip!/dog/2.png"],
        ["a.zip!/My Dataset/cat/1.png", "b.zip!/My Dataset/dog/2.png"],
    ],
    ids=["beside other files", "splits", "an archive in a folder", "in parts"],
)
def test_kinds_of_wrappers(sources: list[str]) -> None:
    """Whatever lies around the classes: a folder of the archive's, of data/raw, or those of splits."""
    assert asked(*sources) == {group_of(place) for place in places(sources)}


def test_loose_folders_may_be_wrapped() -> None:
    """An archive that was unpacked into data/raw is the same; archives beside it are not concerned."""
    assert asked("My Dataset/cat/1.png", "My Dataset/dog/2.png", "a.zip!/cat/1.png") == {""}


@pytest.mark.parametrize(
    "sources",
    [
        ["a.zip!/cat/1.png", "a.zip!/dog/2.png"],
        ["a.zip!/cat/2024/1.png", "a.zip!/cat/2025/1.png", "a.zip!/dog/2024/1.png"],
        ["a.zip!/cat/2024/1.png", "a.zip!/cat/2025/1.png", "a.zip!/cat/1.png"],
        ["a.zip!/cat/2024/1.png", "a.zip!/cat/2024/2.png"],
        ["a.zip!/cat/2024/1.png", "a.zip!/cat/2025/1.png", "b.zip!/cat/1.png"],
        ["cat/a.zip!/1.png", "cat/a.zip!/2.png"],
        ["a.zip!/1.png", "a.zip!/2.png"],
        ["a.zip!/train/1.png", "a.zip!/plane/a/1.png"],
        ["a.zip!/docs/a/1.txt", "a.zip!/docs/b/1.txt"],
    ],
)
def test_what_is_clear_is_not_asked(sources: list[str]) -> None:
    """Several folders, images directly in one, no folder or one alone in it, or a class that others have."""
    assert asked(*sources) == set()


def test_what_was_said_is_not_asked(tmp_path: Path) -> None:
    """A class that is known from before, `ingest.strip` of any number, or rows of labels.csv for all images."""
    assert asked(*WRAPPED, labels=Labels(classes={"My Dataset"})) == set()
    for count in (0, 1):
        assert asked(*WRAPPED, labels=Labels(strip={"photos.zip": count}, classes=())) == set()
    (tmp_path / "labels.csv").write_text("path,label\nphotos.zip!/My Dataset/cat/*,cat\n*/dog/*,dog\n")
    assert asked(*WRAPPED, labels=Labels.read(tmp_path / "labels.csv", classes=())) == set()
    assert asked(*WRAPPED, labels=Labels()) == set()
