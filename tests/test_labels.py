"""The class of an image is the first folder below data/raw, archives being seen through."""

from unicodedata import normalize

import pytest

from pipeline.labels import is_system_file, label_of, source_of


@pytest.mark.parametrize(
    ("path", "member", "label"),
    [
        ("cat/1.png", None, "cat"),
        ("cat/old/1.png", None, "cat"),
        ("tabby cat/1.png", None, "tabby cat"),
        ("1.png", None, None),
        ("cat/old.zip", "1.png", "cat"),
        ("cat/old.zip", "dog/1.png", "cat"),
        ("cat/more/old.zip", "1.png", "cat"),
        ("more.zip", "cat/1.png", "cat"),
        ("more.zip", "cat/old/1.png", "cat"),
        ("more.zip", "./cat/1.png", "cat"),
        ("more.zip", "1.png", None),
        ("more.zip", "./1.png", None),
        ("Kühe/1.png", None, "Kühe"),
        ("none/1.png", None, "none"),
        ("0/1.png", None, "0"),
    ],
)
def test_labels(path: str, member: str | None, label: str | None) -> None:
    """Loose or in an archive, at any depth, an image belongs to its first folder; without a folder to no class."""
    assert label_of(path, member) == label


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_spellings_are_one_class(form: str) -> None:
    """A name typed on a Mac is the same class as the same name typed elsewhere."""
    name = normalize(form, "Café")  # type: ignore[arg-type]
    assert label_of(f"{name}/1.png", None) == label_of("x.zip", f"{name}/1.png") == normalize("NFC", "Café")


def test_sources_tell_where_an_image_lies() -> None:
    """People are told the file, and the member of an archive after it."""
    assert source_of("cat/1.png", None) == "cat/1.png"
    assert source_of("cat/old.zip", "sub/1.png") == "cat/old.zip!/sub/1.png"


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "cat/.DS_Store", "Thumbs.db", "a/b/desktop.ini", "._1.png", "cat/._1.png", "__MACOSX/cat/1.png",
     "cat/.gitignore", "cat/.gitkeep", ".dvcignore"],
)  # fmt: skip
def test_system_files(name: str) -> None:
    """What operating systems, Git and DVC leave behind is known, in any folder."""
    assert is_system_file(name)


@pytest.mark.parametrize("name", ["1.png", "cat/1.png", "DS_Store/1.png", ".hidden/1.png", "_1.png", "Thumbs.db/1.png"])
def test_other_files(name: str) -> None:
    """Other files are not mistaken for theirs."""
    assert not is_system_file(name)
