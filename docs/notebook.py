"""Run serving.ipynb and store the outputs of its cells: `python docs/notebook.py` in a project with a model."""

import ast
import json
import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).with_name("serving.ipynb").absolute()


def main() -> None:
    """Run all cells in order, in the notebook's folder, as Jupyter does."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    os.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(cells, start=1):
        cell["execution_count"] = count
        cell["outputs"] = _outputs("".join(cell["source"]), names, count)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _outputs(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run a cell; return its printed text and the value of its last expression as Jupyter outputs."""
    *body, last = ast.parse(source).body
    if isinstance(last, ast.Expr):  # Jupyter calls its value `_`.
        last = ast.fix_missing_locations(ast.Assign([ast.Name("_", ast.Store())], last.value))
    names["_"] = None
    with redirect_stdout(StringIO()) as printed:
        exec(compile(ast.Module([*body, last], []), "cell", "exec"), names)  # noqa: S102 (the notebook's own code)
    value = names["_"]
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


if __name__ == "__main__":
    main()
