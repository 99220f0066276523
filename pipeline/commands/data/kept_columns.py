"""What labels.csv says of images beyond their class, in a file of its own inside the archive that they are put into."""

import json
from collections.abc import Iterator, Mapping

from pipeline.ingestion.labelling.dialects import Dialect
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine


def label_files(lines: Mapping[str, LabelLine], columns: Columns) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the file that says `lines` of the members so called; none where they say no more than classes.

    Its columns of paths and labels are called as `columns` has it.
    """
    further = {name: json.loads(line.attributes) for name, line in sorted(lines.items()) if line.attributes}
    if not further:
        return
    names = sorted({column for values in further.values() for column in values})
    rows = (
        [name, lines[name].label or "", *map(values.get, names, [""] * len(names))] for name, values in further.items()
    )
    yield LABELS, Dialect().written([[*columns, *names], *rows])
