"""Archives whose folders may not be classes are refused with a question; clear ones are not."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.wrappers import REASON, group_of, wrapped

WRAPPED = ("photos.zip!/My Dataset/cat/1.png", "photos.zip!/My Dataset/dog/2.png")


def places(sources: Iterable[str]) -> list[Place]:
    """Return places with these names."""
    return [Place(path, member or None) for path, _, member in (source.partition("!/") for source in sources)]


def asked(*sources: str, labels: Labels | None = None) -> set[str]:
    """Return the archives that are refused until it is stated which of their folders are classes."""
    return set(wrapped(places(sources), labels or Labels(classes=())))


def test_a_wrapper_is_asked_about() -> None:
    """A single folder around all others, as in `download as zip`, is questioned; the reason gives the remedy."""
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
    """Wrapping folders may be the archive's own, those of data/raw, or those of splits."""
    assert asked(*sources) == {group_of(place) for place in places(sources)}


def test_loose_folders_may_be_wrapped() -> None:
    """An archive that was unpacked into data/raw is questioned, too; archives next to it are not affected."""
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
    """Several folders, images directly in a folder, no folder or a single one, and a class used elsewhere are clear."""
    assert asked(*sources) == set()


def test_what_was_said_is_not_asked(tmp_path: Path) -> None:
    """A known class, any value of `ingest.strip`, or rows of labels.csv for all images are clear."""
    assert asked(*WRAPPED, labels=Labels(classes={"My Dataset"})) == set()
    for count in (0, 1):
        assert asked(*WRAPPED, labels=Labels(strip={"photos.zip": count}, classes=())) == set()
    (tmp_path / "labels.csv").write_text("path,label\nphotos.zip!/My Dataset/cat/*,cat\n*/dog/*,dog\n")
    assert asked(*WRAPPED, labels=Labels.read(tmp_path / "labels.csv", classes=())) == set()
    assert asked(*WRAPPED, labels=Labels()) == set()
