"""Tables have the same bytes as from Python's own writers."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splits import tables
from pipeline.splits.tables import write_csv
from pipeline.text import csv_text

cells = st.text(st.sampled_from("ab,\"\r\n; 'ä\u2028\U0001f600"), max_size=5)
rows = st.lists(st.tuples(cells, cells, st.none() | cells, st.booleans()), max_size=30)


@given(rows, st.integers(1, 9))
def test_same_bytes(made: list[tuple[str, str, str | None, bool]], at_a_time: int) -> None:
    """Any cells are written in the same bytes, for any number of lines at a time."""
    names = ["id", "odd, name", "last"]
    table = pa.table({name: pa.array([row[at] for row in made], pa.string()) for at, name in enumerate(names)})
    chosen = np.array([row[3] for row in made], np.bool_)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "table.csv"
        patch.setattr(tables, "ROWS", at_a_time)
        write_csv(path, table)
        assert path.read_bytes().decode() == csv_text([names, *(row[:3] for row in made)])
        write_csv(path, pa.concat_tables([table, table]), np.concatenate([chosen, ~chosen]))
        picked = [row for row in made if row[3]] + [row for row in made if not row[3]]
        assert path.read_bytes().decode() == csv_text([names, *(row[:3] for row in picked)])


def test_as_manifests_ever_were(tmp_path: Path) -> None:
    """Manifests are written as by pandas."""
    frame = pd.DataFrame({"id": ["1", "2", "3"], "label": ["a, b", 'the "c"', ""], "md5": ["x", "y", "z"]}, dtype=str)
    frame.to_csv(tmp_path / "pandas.csv", index=False, lineterminator="\n")
    write_csv(tmp_path / "ours.csv", pa.Table.from_pandas(frame, preserve_index=False))
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "pandas.csv").read_bytes()
