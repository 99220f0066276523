"""Files of labels that belong to data/raw and were never here: the only files that have to come."""

from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.versioning.raw.content import RawContent
from pipeline.versioning.raw.recording import bring


def bring_labels(content: RawContent, columns: Columns) -> RawContent:
    """Put them into data/raw, whose `content` is as it was; `columns` are theirs. Returns the content now.

    Raises:
        MissingDataError: one of them is neither in DVC's cache nor on the remote.
    """
    return bring((path for path in content.belonging.absent if is_label_file(path, columns)), content)
