"""Prepare a fresh clone for the commands of this package: create data/raw, and fetch the index and label files."""

from contextlib import suppress

from pipeline import paths
from pipeline.errors import ImagesError, MissingDataError, RecordError
from pipeline.images import index
from pipeline.ingestion.labelling.absent_labels import bring_labels
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.params import read_params
from pipeline.versioning.raw.absence import read_absent
from pipeline.versioning.raw.content import look
from pipeline.versioning.raw.recording import check_whole_record, note_never_here

HINT = "run `dvc push` where it was trained, then run this again"


def make_ready() -> None:
    """Create data/raw and fetch the index and label files, if data/raw is tracked by DVC.

    If no file of data/raw is absent, only the index is fetched, if it is available.

    Raises:
        ImagesError: data/raw was complete on this machine, and is now missing.
        MissingDataError: files of data/raw are absent, and data/images as recorded in dvc.lock is not available.
    """
    if not paths.RAW_DVC.exists():
        return
    if not paths.RAW.is_dir() and read_absent() == set():
        # If new images were put into an empty data/raw, all others would seem to have been removed.
        raise ImagesError(paths.RAW, f"missing, though {paths.RAW_DVC} is there", f"run `dvc pull {paths.RAW_DVC}`")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    if read_absent() == set():
        make_index_ready()
        return
    index.restore(hint=HINT)
    with suppress(RecordError):  # Without a readable record, no file counts as absent.
        check_whole_record(content := look())
        content = bring_labels(content, Columns(**read_params().ingest.columns))
        note_never_here(content.belonging.absent)


def make_index_ready() -> None:
    """Fetch only the index, if it is available."""
    with suppress(MissingDataError):
        index.restore(hint=HINT)
