"""The export formats, and the names of their files."""

from pathlib import Path

from pipeline import paths
from pipeline.errors import ExportError

ONNX, INT8, PT2 = "onnx", "onnx-int8", "pt2"
# File name extensions.
FORMATS = {ONNX: ".onnx", INT8: ".onnx", PT2: ".pt2"}
FOLDER = paths.DATA / "export"
# Default output files.
FILES = {ONNX: FOLDER / "model.onnx", INT8: FOLDER / "model.int8.onnx", PT2: FOLDER / "model.pt2"}


def chosen(kind: str | None, output: Path | None) -> tuple[str, Path]:
    """Return the format and the output file; None of either selects a default.

    The default format follows from the file's extension.

    Raises:
        ExportError: the file has the extension of another format.
    """
    kind = kind or (PT2 if output is not None and output.suffix == FORMATS[PT2] else ONNX)
    output = output or FILES[kind]
    if output.suffix in FORMATS.values() and output.suffix != FORMATS[kind]:
        hint = f"let it end in {FORMATS[kind]}, or choose another --format"
        raise ExportError(output, f"does not end as files of the format {kind} do", hint)
    return kind, output
