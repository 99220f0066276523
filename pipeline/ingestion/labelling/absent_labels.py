"""Fetches label files of data/raw that are missing locally: the only files of data/raw that ingest always needs."""

from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.versioning.raw.content import RawContent
from pipeline.versioning.raw.recording import bring


def bring_labels(content: RawContent, columns: Columns) -> RawContent:
    """Put missing label files with these `columns` into data/raw, and return its new content.

    `content` is the content of data/raw before.

    Raises:
        MissingDataError: a file is neither in DVC's cache nor on the remote.
    """
    return bring((path for path in content.belonging.absent if is_label_file(path, columns)), content)
