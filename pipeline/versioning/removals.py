"""Images that are gone from data/raw since the last run. Many at once are a mistake, unless somebody meant it."""

from collections.abc import Iterable

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.files import write_text
from pipeline.params import Ingest

# The ids of images that somebody has removed since the last run, or `ALL`, a line each.
NOTE = paths.PROGRESS / "removed"
ALL = "*"
HINT = (
    "if they are missing, run `pipeline sync --restore`; if they were removed on purpose, `pipeline sync --keep`; "
    "then `dvc repro`"
)


def note_removals(ids: Iterable[str]) -> None:
    """Note that the images `ids` are removed on purpose; `ALL` stands for whatever is gone."""
    write_text(NOTE, "".join(f"{one}\n" for one in sorted(_noted() | set(ids))))


def forget_removals() -> None:
    """Forget what was noted, once a run has taken it in."""
    NOTE.unlink(missing_ok=True)


def check_removals(gone: Iterable[str], count: int, params: Ingest) -> None:
    """See that of `count` images not more than `max_removed` are `gone` now without anybody's word.

    Raises:
        ImagesError: they are; what to run in either case.
    """
    noted = _noted()
    if ALL in noted:
        return
    unsaid = len(set(gone) - noted)
    if unsaid > params.max_removed * count:
        what = f"{unsaid:,} of the {count:,} images that it held at the last run are gone"
        raise ImagesError(paths.RAW, f"{what}, more than ingest.max_removed ({params.max_removed}) lets pass", HINT)


def _noted() -> set[str]:
    try:
        return set(NOTE.read_text(encoding="utf-8").split())
    except OSError:
        return set()
