"""What these commands go by, brought to a clone that has nothing of it yet: folder, index, files of labels."""

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

HINT = "run `dvc push` where it was trained, then this again"


def make_ready() -> None:
    """Bring that, where data/raw is tracked; in a full folder the index alone, as far as it is to be had.

    Raises:
        ImagesError: data/raw was here, and is gone.
        MissingDataError: not all is here, and what dvc.lock records as data/images is not to be had.
    """
    if not paths.RAW_DVC.exists():
        return
    if not paths.RAW.is_dir() and read_absent() == set():
        # With new images alone in it, data/raw would seem to have lost all others.
        raise ImagesError(paths.RAW, f"missing, though {paths.RAW_DVC} is there", f"run `dvc pull {paths.RAW_DVC}`")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    if read_absent() == set():
        make_index_ready()
        return
    index.restore(hint=HINT)
    with suppress(RecordError):  # It is not known what was there; then nothing is missed.
        check_whole_record(content := look())
        content = bring_labels(content, Columns(**read_params().ingest.columns))
        note_never_here(content.belonging.absent)


def make_index_ready() -> None:
    """Bring the index alone, as far as it is to be had."""
    with suppress(MissingDataError):
        index.restore(hint=HINT)
