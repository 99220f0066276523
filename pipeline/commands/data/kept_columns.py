"""The labels.csv inside an archive made by `add` or `pack`, which keeps its images' further label columns."""

import json
from collections.abc import Iterator, Mapping

from pipeline.ingestion.labelling.dialects import Dialect
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine


def label_files(lines: Mapping[str, LabelLine], columns: Columns) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of a labels.csv with `lines`, by member name; nothing if no line has further columns.

    `columns` names the file's path and label columns.
    """
    further = {name: json.loads(line.attributes) for name, line in sorted(lines.items()) if line.attributes}
    if not further:
        return
    names = sorted({column for values in further.values() for column in values})
    rows = (
        [name, lines[name].label or "", *map(values.get, names, [""] * len(names))] for name, values in further.items()
    )
    yield LABELS, Dialect().written([[*columns, *names], *rows])
