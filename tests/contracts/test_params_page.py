"""docs/params.md is up to date."""

from collections.abc import Iterator

from conftest import ROOT

from pipeline.param_types import Section
from pipeline.params import Params, read_params

PAGE = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")


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
    """The table of params is generated from params.yaml and the docstrings in the code."""
    table = _table(read_params(ROOT / "params.yaml"))
    assert table in PAGE, f"put this into docs/params.md:\n\n{table}\n"
