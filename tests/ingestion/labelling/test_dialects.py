"""labels.csv is read in the dialects of spreadsheets and programs, and is written in its dialect."""

import codecs
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.merge.label_rows import merge_labels
from pipeline.ingestion.labelling.dialects import DELIMITERS, MARKS, Dialect, dialect_of
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.ingestion.labelling.labels import Labels

PLAIN = 'path,label\ncat/1.png,tabby\ndog/é.png,"wolf, grey"\n'
SEMICOLONS = "path;label\ncat/1.png;tabby\ndog/é.png;wolf, grey\n"
TABS = SEMICOLONS.replace(";", "\t")


def with_ends(text: str, end: str) -> bytes:
    """Return the text with other line ends."""
    return text.replace("\n", end).encode()


DIALECTS = {
    "UTF-8": PLAIN.encode(),
    "UTF-8 with a mark": codecs.BOM_UTF8 + PLAIN.encode(),
    "UTF-16-LE": codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"),
    "UTF-16-BE": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16-BE without a mark": PLAIN.encode("utf-16-be"),
    "UTF-32": codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"),
    "Unicode text of Excel": codecs.BOM_UTF16_LE + TABS.replace("\n", "\r\n").encode("utf-16-le"),
    "semicolons": SEMICOLONS.encode(),
    "tabs": TABS.encode(),
    "bars": SEMICOLONS.replace(";", "|").encode(),
    "declared delimiter": f"sep=;\r\n{SEMICOLONS}".encode(),
    "semicolons, CRLF, a mark": codecs.BOM_UTF8 + with_ends(SEMICOLONS, "\r\n"),
    "CRLF": with_ends(PLAIN, "\r\n"),
    "CR": with_ends(PLAIN, "\r"),
    "no last end of line": PLAIN.rstrip("\n").encode(),
    "empty lines first": b"\n\r\n" + PLAIN.encode(),
    "rows of delimiters": PLAIN.encode() + b",\n , \n",
    "capitals": PLAIN.replace("path,label", "Path,LABEL").encode(),
    "blanks around names of columns": PLAIN.replace("path,label", " path , label ").encode(),
    "blanks around values": 'path,label\n cat/1.png , tabby \ndog/é.png ,"wolf, grey "\n'.encode(),
    "a blank after each comma": 'path, label\ncat/1.png, tabby\ndog/é.png, "wolf, grey"\n'.encode(),
    "all quoted": '"path";"label"\n"cat/1.png";"tabby"\n"dog/é.png";"wolf, grey"\n'.encode(),
    "backslashes": PLAIN.replace("/", "\\").encode(),
    "./": PLAIN.replace("cat/", "./cat/").replace("dog/", ".\\dog/").encode(),
    "data/raw/": PLAIN.replace("cat/", "data/raw/cat/").replace("dog/", "data\\raw\\dog\\").encode(),
    "label first": 'label,path\ntabby,cat/1.png\n"wolf, grey",dog/é.png\n'.encode(),
    "decomposed": PLAIN.replace("é", "e\N{COMBINING ACUTE ACCENT}").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(tmp_path: Path, name: str) -> None:
    """In any dialect each image gets its label, and no line is unused."""
    path = tmp_path / "labels.csv"
    path.write_bytes(DIALECTS[name])
    labels = Labels.read(path)
    assert labels.of("cat/1.png", None) == "tabby"
    assert labels.of("dog/é.png", None) == "wolf, grey"
    assert labels.of("dog/2.png", None) == "dog"
    assert labels.unused == []


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_merges_keep_the_dialect(name: str) -> None:
    """A merge is written in our side's dialect, and contains the content of both sides."""
    ours = DIALECTS[name]
    with BytesIO(ours) as file:
        before = dialect_of(file, Columns())
    merged = merge_labels(ours, ours, PLAIN.encode() + b"new.png,emu\n")
    assert merged.conflicts == []
    with BytesIO(merged.content) as file:
        after = dialect_of(file, Columns())
        rows = [row for _, row in after.rows(file)]
    assert after[:5] == before[:5]
    assert len(rows) == 4
    assert sorted(rows[3]) == ["emu", "new.png"]
    if name == "capitals":
        assert rows[0] == ["Path", "LABEL"]


CELLS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@given(
    st.sampled_from(["", *MARKS.values()]),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.tuples(CELLS, CELLS), max_size=5),
)
def test_what_is_written_is_read(encoding: str, delimiter: str, newline: str, rows: list[tuple[str, str]]) -> None:
    """Any rows are read back, and the dialect is detected from the bytes."""
    mark = next((mark for mark, name in MARKS.items() if name == encoding), b"")
    dialect = Dialect(mark, encoding or "utf-8", delimiter, newline)
    with BytesIO(dialect.written([("path", "label"), *rows])) as file:
        found = dialect_of(file, Columns())
        assert found == dialect
        assert [tuple(row) for _, row in found.rows(file)] == [("path", "label"), *rows]


def test_other_columns(tmp_path: Path) -> None:
    """`ingest.columns` sets the names of columns; names of files may then lack the suffix."""
    path = tmp_path / "labels.csv"
    path.write_text("ID,breed,path\ntrain/0a,pug,north\n")
    labels = Labels.read(path, columns=Columns(path="id", label="breed"))
    assert labels.find("train/0a.jpg", None)[:2] == ("pug", '{"path": "north"}')
    assert labels.of("train/0b.jpg", None) == "train"
