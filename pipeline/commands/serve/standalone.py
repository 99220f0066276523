"""Write preprocess.py, a script next to an exported model that converts image files to its input.

The script uses Pillow and numpy. It is assembled from the source code of ingest and of the reader of stored images, so
that no rule is stated twice.
"""

import ast
import inspect
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.errors import ExportError
from pipeline.images.pixels import FRAMINGS, Pixels
from pipeline.ingestion.pictures import colours, dicom, formats, memory, uniform, unusable, values
from pipeline.models.network import Spec
from pipeline.params import Ingest

SCRIPT = "preprocess.py"
TEMPLATES = Path(__file__).parent / "templates"
# In order: each module imports only modules before it.
PARTS = (unusable, memory, values, colours, dicom, formats, uniform)
# Every generated script contains this text.
ORIGIN = "`pipeline export` wrote this"


def script_of(ingest: Ingest, spec: Spec) -> str:
    """Return the source of the script for the network of `spec`, whose images are stored by `ingest`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 (it is Python, not HTML)
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{SCRIPT}.jinja").render(
        origin=ORIGIN,
        parts=[*map(_body, PARTS), inspect.getsource(FRAMINGS[spec.framing]).rstrip()],
        ingest=ingest,
        values=repr(ingest.range),
        size=spec.source,
        framed=FRAMINGS[spec.framing].__name__,
        channels=1 if ingest.mode == "grey" else 3,
        versions=f"Pillow {PIL.__version__} and numpy {np.__version__}",
    )


def check_place(script: Path) -> None:
    """Check that `script` would not overwrite a file that no export wrote.

    Raises:
        ExportError: it would.
    """
    if script.exists() and ORIGIN not in script.read_text(encoding="utf-8", errors="replace"):
        raise ExportError(script, "is there, and no export wrote it", "move it, or choose another folder by --output")


def run_script(script: Path, files: Sequence[Path], result: Path) -> Pixels:
    """Run `script` on `files` in a separate Python process, and return the pixels that it writes to `result`.

    Raises:
        ExportError: the script fails.
    """
    command = [sys.executable, "-I", str(script), *map(str, files), str(result)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if ran.returncode:
        said = (ran.stderr.splitlines() or [f"status {ran.returncode}"])[-1]
        raise ExportError(SCRIPT, f"not written, since it fails: {said}", "try other versions of pillow and numpy")
    made: Pixels = np.load(result)
    return made


def _body(module: ModuleType) -> str:
    """Return the source of `module` below its imports."""
    source = inspect.getsource(module)
    docstring, *rest = ast.parse(source).body
    imports = (node for node in rest if isinstance(node, ast.Import | ast.ImportFrom))
    last = max(node.end_lineno or 0 for node in (docstring, *imports))
    return "\n".join(source.splitlines()[last:]).strip()
