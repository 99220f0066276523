"""The class of an image is the first folder below data/raw, archives being seen through."""

from pathlib import Path
from unicodedata import normalize

import pytest

from pipeline.errors import ImagesError
from pipeline.labels import Labels, is_system_file, label_of, source_of


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


def test_file_names_classes_by_name_and_by_glob(tmp_path: Path) -> None:
    """A name is stronger than a glob, a later line than an earlier one, and a folder weakest."""
    path = tmp_path / "labels.csv"
    path.write_text(
        'path,label,camera\n"a/*",all,1\na/1.png,"one, two",2\n"a/2*",two,1\nnone.png,typo,1\n', "utf-8-sig"
    )
    labels = Labels.read(path)
    assert [labels.of(f"a/{number}.png", None) for number in (1, 2, 3)] == ["one, two", "two", "all"]
    assert labels.of("b/1.png", None) == "b"
    assert labels.of("1.png", None) is None
    assert labels.unused == ["none.png"]


def test_file_names_members_of_archives(tmp_path: Path) -> None:
    """A member is named as refused.csv and the index name it."""
    path = tmp_path / "labels.csv"
    path.write_text('path,label\nmore.zip!/dog/1.png,wolf\n"*.tar!/*",other\n')
    labels = Labels.read(path)
    assert labels.of("more.zip", "dog/1.png") == "wolf"
    assert labels.of("more.zip", "dog/2.png") == "dog"
    assert labels.of("x.tar", "dog/2.png") == "other"


def test_without_a_file_folders_decide(tmp_path: Path) -> None:
    """labels.csv is optional."""
    assert Labels.read(tmp_path / "labels.csv").of("a/1.png", None) == "a"


@pytest.mark.parametrize(
    "text", ["path,label\na/1.png\n", "file,class\na,b\n", "path,label\na/1.png,x/y\n", "a;b\nc;d\n"]
)
def test_malformed_file_is_one_line(tmp_path: Path, text: str) -> None:
    """A file of another form is an error that says what form it should have."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ImagesError, match="path,label") as error:
        Labels.read(path)
    assert "\n" not in str(error.value)
