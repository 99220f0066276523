"""Images missing from data/raw since the last run. Many at once are an error, unless they were removed on purpose."""

from collections.abc import Iterable

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.files import write_text
from pipeline.params import Ingest

# The ids of images that were removed on purpose since the last run, or `ALL`; one per line.
NOTE = paths.PROGRESS / "removed"
ALL = "*"
HINT = (
    "if they are missing, run `pipeline sync --restore`; if they were removed on purpose, `pipeline sync --keep`; "
    "then `dvc repro`"
)


def note_removals(ids: Iterable[str]) -> None:
    """Note that the images `ids` were removed on purpose; `ALL` stands for all missing images."""
    write_text(NOTE, "".join(f"{one}\n" for one in sorted(_noted() | set(ids))))


def forget_removals() -> None:
    """Delete the note, once a run has recorded the removals."""
    NOTE.unlink(missing_ok=True)


def check_removals(gone: Iterable[str], count: int, params: Ingest) -> None:
    """Check that, of `count` images, at most the share `max_removed` is `gone` without having been noted.

    Raises:
        ImagesError: more are gone. The hint has the commands for a loss and for a removal on purpose.
    """
    noted = _noted()
    if ALL in noted:
        return
    unsaid = len(set(gone) - noted)
    if unsaid > params.max_removed * count:
        what = f"{unsaid:,} of the {count:,} images that it held at the last run are gone"
        raise ImagesError(paths.RAW, f"{what}, more than ingest.max_removed ({params.max_removed}) allows", HINT)


def _noted() -> set[str]:
    try:
        return set(NOTE.read_text(encoding="utf-8").split())
    except OSError:
        return set()
