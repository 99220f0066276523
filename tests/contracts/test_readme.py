"""README.md says what is so."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Project

from pipeline.params import Params, Section, read_params

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _rows(section: Section, prefix: str = "") -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _rows(value, f"{prefix}{name}.")
        else:
            plain = {"": "''", None: "null"}.get(value, value) if value is None or value == "" else value
            shown = str(value).lower() if isinstance(value, bool) else plain
            yield f"| `{prefix}{name}` | `{shown}` | {field.description} |"


def _table(params: Params) -> str:
    return "\n".join(["| param | value | meaning |", "|---|---|---|", *_rows(params)])


def test_parameters_are_those_of_the_code() -> None:
    """The table of parameters is made from params.yaml and the sentences in the code."""
    table = _table(read_params(ROOT / "params.yaml"))
    assert table in README, f"put this into README.md:\n\n{table}\n"


def test_is_short() -> None:
    """It can be read in one sitting."""
    assert len(README.splitlines()) < 250


@pytest.mark.slow
def test_quick_start_works(tmp_path: Path) -> None:
    """Its commands, typed one after the other in a fresh clone, do what it says."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    clone = Project(tmp_path / "clone")
    # What takes gigabytes is there already; that it can be set up is what CI itself shows.
    (clone.root / ".venv").symlink_to(ROOT / ".venv")
    typed = "\n".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
    out = clone.run("bash", "-ec", typed.replace("make ", "make --old-file=.venv/ready ")).out
    assert "cold start" in out
    assert "3,000 decoded" in out
    assert "train: warm start from" in out
    assert "Change" in out
    assert clone.git("status", "--porcelain") == ""
