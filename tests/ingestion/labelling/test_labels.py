"""The class of an image is the first folder below data/raw or inside an archive."""

import json
import re
from pathlib import Path
from unicodedata import normalize

import pytest

from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.class_names import label_of
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.labels import Labels, is_system_file
from pipeline.ingestion.labelling.sources import source_of


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
    """Loose or in an archive, at any depth, an image has the class of its first folder, or none without a folder."""
    assert label_of(path, member) == label


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_spellings_are_one_class(form: str) -> None:
    """A name in the Unicode form of a Mac is the same class as in other forms."""
    name = normalize(form, "Café")  # type: ignore[arg-type]
    assert label_of(f"{name}/1.png", None) == label_of("x.zip", f"{name}/1.png") == normalize("NFC", "Café")


def test_sources_tell_where_an_image_lies() -> None:
    """The source of an image is the file, followed by the member of an archive."""
    assert source_of("cat/1.png", None) == "cat/1.png"
    assert source_of("cat/old.zip", "sub/1.png") == "cat/old.zip!/sub/1.png"


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "cat/.DS_Store", "Thumbs.db", "a/b/desktop.ini", "._1.png", "cat/._1.png", "__MACOSX/cat/1.png",
     "cat/.gitignore", "cat/.gitkeep", ".dvcignore"],
)  # fmt: skip
def test_system_files(name: str) -> None:
    """Files that operating systems, Git and DVC leave behind are recognised in any folder."""
    assert is_system_file(name)


@pytest.mark.parametrize("name", ["1.png", "cat/1.png", "DS_Store/1.png", ".hidden/1.png", "_1.png", "Thumbs.db/1.png"])
def test_other_files(name: str) -> None:
    """Other files are not mistaken for them."""
    assert not is_system_file(name)


def test_file_names_classes_by_name_and_by_glob(tmp_path: Path) -> None:
    """A name has precedence over a glob, a later line over an earlier one, and any line over a folder."""
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
    """A member is named as in refused.csv and in the index."""
    path = tmp_path / "labels.csv"
    path.write_text('path,label\nmore.zip!/dog/1.png,wolf\n"*.tar!/*",other\n')
    labels = Labels.read(path)
    assert labels.of("more.zip", "dog/1.png") == "wolf"
    assert labels.of("more.zip", "dog/2.png") == "dog"
    assert labels.of("x.tar", "dog/2.png") == "other"


def attributes(path: Path, *sources: str) -> list[dict[str, str]]:
    """Return the further columns of the file for an image."""
    labels = Labels.read(path)
    texts = [labels.find(source, None).attributes for source in sources]
    return [json.loads(text) if text else {} for text in texts]


def test_further_columns(tmp_path: Path) -> None:
    """Further columns come from the line with the class, without empty cells; images without a line have none."""
    path = tmp_path / "labels.csv"
    path.write_text(
        "camera,path,weather! ☂,label\n1,a/*,rain,all\n\n,a/1.png,sun,one\n  ,a/2.png,,two\n"
        '"a ""b"", ç",a/3.png,,three\n',
        "utf-8-sig",
    )
    assert attributes(path, "a/1.png", "a/2.png", "a/3.png", "a/4.png", "b/1.png") == [
        {"weather! ☂": "sun"},
        {},
        {"camera": 'a "b", ç'},
        {"camera": "1", "weather! ☂": "rain"},
        {},
    ]


def test_same_content_is_the_same_text(tmp_path: Path) -> None:
    """The order of columns and the Unicode form do not matter, and equal lines are kept once."""
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    decomposed, composed = normalize("NFD", "café"), normalize("NFC", "café")
    one.write_text(f"path,label,a,b\n1.png,x,1,{decomposed}\n2.png,x,1,{composed}\n", "utf-8")
    other.write_text(f"b,path,a,label\n{composed},1.png,1,x\n", "utf-8")
    labels = Labels.read(one)
    assert labels.find("1.png", None) == Labels.read(other).find("1.png", None)
    assert labels.find("1.png", None) is labels.find("2.png", None)


@pytest.mark.parametrize(
    "text",
    [
        "path,label,\na,x,\n",
        "path,label\na,x,\n",
        "path,label,,\na,x,, \n",
        "path,label, ,camera\na,x\n",
        "path,label\n",
        "",
    ],
)
def test_columns_without_name_and_content(tmp_path: Path, text: str) -> None:
    """Columns without name and content, as spreadsheets leave them, are ignored."""
    (tmp_path / "labels.csv").write_text(text)
    assert attributes(tmp_path / "labels.csv", "a") == [{}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"path,label,a,a\n1,x,1,2\n", "2 columns are called 'a'"),
        (b"path,label,label\n1,x,y\n", "2 columns are called 'label'"),
        ("path,label,é,e\u0301\n1,x,1,2\n".encode(), "2 columns are called 'é'"),
        (b"path,label,id\n1,x,1\n", "a column is called 'id'"),
        (b"path,label,generation\n1,x,1\n", "a column is called 'generation'"),
        (b'path,label,"a\nb"\n1,x,1\n', r"column 'a\nb'"),
        (b'path,label,a\n1,x,1\n2,x,"1\r\n2"\n', "line 3 has a control character in column 'a'"),
        (b"path,label,a\n1,x,1\x00\n", "line 2 has a control character in column 'a'"),
        (b"path,label,\n1,x,1\n", "line 2 has a value in a column without a name"),
        (b"path,label,,\n1,x,1,\n", "line 2 has a value in a column without a name"),
        (b"path,label\n1,x\n2,x,1\n", "line 3 has a value in a column without a name"),
        (b"path,label,a\n\n1,x,caf\xe9\n", "line 3 is not UTF-8; in Windows-1252 it would read '1,x,café'"),
    ],
)
def test_columns_that_cannot_be_used(tmp_path: Path, text: bytes, said: str) -> None:
    """Unusable columns are a one-line error that names them."""
    (tmp_path / "labels.csv").write_bytes(text)
    with pytest.raises(ImagesError, match=re.escape(said)) as error:
        Labels.read(tmp_path / "labels.csv")
    assert "\n" not in str(error.value)


def test_without_a_file_folders_decide(tmp_path: Path) -> None:
    """labels.csv is optional."""
    assert Labels.read(tmp_path / "labels.csv").of("a/1.png", None) == "a"


def written(path: Path, *lines: str) -> Labels:
    """Return what a labels.csv with these lines contains."""
    path.write_text("".join(f"{line}\n" for line in ("path,label", *lines)), "utf-8")
    return Labels.read(path)


def test_a_name_that_looks_like_a_glob_is_a_name(tmp_path: Path) -> None:
    """`cat/img [1].png` labels the image of that name and not `cat/img 1.png`; if it does not exist, it is a glob."""
    sources = ["cat/img [1].png", "cat/img 1.png", "cat/img 2.png"]
    labels = written(tmp_path / "labels.csv", "cat/img [1].png,dog", "cat/img [2].png,bird")
    labels.settle(sources)
    assert [labels.of(source, None) for source in sources] == ["dog", "cat", "bird"]
    assert labels.unused == []
    alone = written(tmp_path / "labels.csv", "cat/img [1].png,dog")
    alone.settle(sources[1:])
    assert [alone.of(source, None) for source in sources[1:]] == ["dog", "cat"]


@pytest.mark.parametrize("name", ["a.zip!/cat/what?.png", "a.zip!/cat/*.png", "a.zip!/cat/[x].png"])
def test_members_with_special_names_are_names(tmp_path: Path, name: str) -> None:
    """Names of members that look like globs are names, too."""
    labels = written(tmp_path / "labels.csv", f"{name},dog")
    labels.settle([name])
    assert labels.of(*name.split("!/")) == "dog"
    assert labels.of("a.zip", "cat/whatx.png") == labels.of("a.zip", "cat/x.png") == "cat"


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("pattern", ["cat/é.png", "cat/é*", "cat/é [1].png"])
def test_spellings_of_paths_are_one(tmp_path: Path, forms: tuple[str, str], pattern: str) -> None:
    """A typed row matches a file in another Unicode form, in both directions."""
    file, row = (normalize(form, pattern.replace("*", ".png")) for form in forms)  # type: ignore[arg-type]
    labels = written(tmp_path / "labels.csv", f"{normalize(forms[1], pattern)},dog")  # type: ignore[arg-type]
    labels.settle([file])
    assert labels.of(file, None) == labels.of(row, None) == "dog"


def test_the_same_spelling_comes_first(tmp_path: Path) -> None:
    """If a folder contains both forms of a name, each has its own row."""
    files = [normalize("NFC", "x/é.png"), normalize("NFD", "x/é.png")]
    labels = written(tmp_path / "labels.csv", f"{files[0]},one", f"{files[1]},other")
    labels.settle(files)
    assert [labels.find(file, None)[::2] for file in files] == [("one", ""), ("other", "")]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["x/1.png,a", "x/2.png,a", "x/1.png,b"], ["lines 2 and 4", "the image is refused; leave one of the lines"]),
        (["./x/1.png,a", "x\\1.png,b"], ["lines 2 and 3", "the image is refused; leave one of the lines"]),
        (["x/*,a", "*.png,b"], ["lines 2 and 3", "the later line counts"]),
        (["x/1.png,a", "x/1.png,a"], []),
        (["x/*,a", "x/1.png,b"], []),
        (["*.png,a", "x/1.*,a "], []),
    ],
)  # fmt: skip
def test_lines_that_contradict_each_other_are_told(tmp_path: Path, lines: list[str], said: list[str]) -> None:
    """Two rows with different labels for an image are both reported, and the image has no label.

    Of two globs the later one counts, and a name over a glob is intended.
    """
    labels = written(tmp_path / "labels.csv", *lines)
    is_refused = bool(labels.find("x/1.png", None).conflict)
    then = [f"labels.csv: {said[0]} give x/1.png different labels, a and b; {said[1]}"] if said else []
    assert labels.clashes == then
    assert is_refused == ("refused" in "".join(then))


def test_lines_are_counted_as_editors_do(tmp_path: Path) -> None:
    """Line numbers count empty lines and line breaks in cells, as editors do."""
    path = tmp_path / "labels.csv"
    path.write_text("path,label,note\n\nx/1.png,a,\n\nx/1.png,b,\n")
    labels = Labels.read(path)
    assert labels.find("x/1.png", None).conflict == "labels.csv: lines 3 and 5 give it different labels, a and b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,class\na,b\n", "columns found: file, class; needed: path, label; give it a first line with these names"),
        ("path,class\n", "columns found: path, class; needed: path, label; give it a first line with these names"),
        ("a;b\nc;d\n", "columns found: a, b; needed: path, label"),
        ("cat/1.png\tcat\n", "columns found: cat/1.png, cat; needed: path, label"),
        ("PATH,Path,label\na,b,c\n", "2 columns are called 'path'"),
        ("path,label\na\n", "line 2 has no label"),
        ("path,label\n,b\n", "line 2 has no path"),
        ("path,label\na,\u00a0\n", "line 2 has no label"),
        ("path,label\na,b/c\n", "line 2 has a slash or a control character in its label 'b/c'"),
    ],
)
def test_each_cause_is_told(tmp_path: Path, text: str, said: str) -> None:
    """An error contains the line number and the cause."""
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    with pytest.raises(ImagesError, match=re.escape(said)):
        Labels.read(tmp_path / "labels.csv")


def test_blanks_around_labels_are_stripped(tmp_path: Path) -> None:
    """Spaces around labels are removed, as for folders."""
    assert written(tmp_path / "labels.csv", "1.png,cat\u00a0").of("1.png", None) == "cat"


def tree(root: Path, **files: str) -> list[str]:
    """Write label files below `root`, by folder, and return their names."""
    names = [f"{folder}/labels.csv".removeprefix("top/") for folder in files]
    for name, text in zip(names, files.values(), strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"path,label\n{text}", "utf-8")
    return names


def test_files_in_folders(tmp_path: Path) -> None:
    """Paths and globs are relative to the file's folder; the top file's lines come first."""
    names = tree(tmp_path, top="a/3.png,top\n", a="1.png,one\n./sub/2.png,two\n3.png,three\n", **{"b [1]": "*,bee\n"})
    labels = Labels.read(tmp_path / "labels.csv", files=names)
    images = ("a/1.png", "a/sub/2.png", "a/3.png", "b [1]/x.png", "b 1/x")
    found = {name: labels.find(name, None)[::2] for name in images}
    assert found == {
        "a/1.png": ("one", ""),
        "a/sub/2.png": ("two", ""),
        "a/3.png": ("top", ""),
        "b [1]/x.png": ("bee", ""),
        "b 1/x": ("b 1", ""),
    }
    assert labels.unused == ["a/3.png"]
    assert all(map(labels.is_file, names))


def test_files_in_folders_that_disagree(tmp_path: Path) -> None:
    """Label files in folders or archives that disagree have no order, so that it is an error."""
    names = tree(tmp_path, a="b/1.png,one\nx.zip!/1.png,one\n", **{"a/b": "1.png,two\n"})
    labels = Labels.read(tmp_path / "labels.csv", files=names)
    labels.carry("a/x.zip", {"1.png": LabelLine("three"), "2.png": LabelLine("three")})
    assert labels.find("a/b/1.png", None).conflict == (
        "line 2 of a/labels.csv and line 2 of a/b/labels.csv give it different labels, one and two"
    )
    assert labels.find("a/x.zip", "1.png").conflict.startswith("a/x.zip and a file of labels outside of it")
    assert labels.find("a/x.zip", "2.png") == ("three", "", "")


def test_file_in_a_folder_without_the_columns(tmp_path: Path) -> None:
    """A file in a folder without the columns is not a label file, and is reported; one with them must be valid."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/labels.csv").write_text("id,text\n1,x\n")
    labels = Labels.read(tmp_path / "labels.csv", files=["a/labels.csv"])
    assert labels.unreadable["a/labels.csv"].startswith("columns found: id, text; needed: path, label")
    assert not labels.is_file("a/labels.csv")
    (tmp_path / "a/labels.csv").write_text("path,label\n1.png,\n")
    with pytest.raises(ImagesError, match=r"a/labels\.csv: line 2 has no label"):
        Labels.read(tmp_path / "labels.csv", files=["a/labels.csv"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "file_name,text,animal\n1.png,é,cat\nsub/2.png,,dog\n"),
        (
            "metadata.jsonl",
            """{"file_name": "1.png", "text": "é", "animal": "cat"}

{"animal": "dog", "file_name": "sub/2.png", "objects": {"box": [1]}, "text": null}
""",
        ),
    ],
)
def test_metadata_of_hugging_face(tmp_path: Path, name: str, text: str) -> None:
    """The file is read once `ingest.columns` names its columns; before it is an unused file."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name).write_text(text, "utf-8")
    columns = Columns(path="file_name", label="animal")
    labels = Labels.read(tmp_path / "labels.csv", files=[f"train/{name}"], columns=columns)
    assert labels.find("train/1.png", None)[:2] == ("cat", '{"text": "é"}')
    assert labels.find("train/sub/2.png", None)[:2] == ("dog", "")
    usual = Labels.read(tmp_path / "labels.csv", files=[f"train/{name}"])
    assert usual.of("train/1.png", None) == "train"
    assert not usual.is_file(f"train/{name}")


@pytest.mark.parametrize("line", ["[1]", "{", "\xff"])
def test_lines_that_are_no_objects(tmp_path: Path, line: str) -> None:
    """The error names the line that is not a JSON object."""
    (tmp_path / "metadata.jsonl").write_bytes(b'{"file_name": "1.png", "label": "cat"}\n' + line.encode("latin-1"))
    columns = Columns(path="file_name")
    with pytest.raises(ImagesError, match="line 2 is not a JSON object"):
        Labels.read(tmp_path / "labels.csv", files=["metadata.jsonl"], columns=columns)
