"""data/manifest/merged.csv: the models of merged branches, except the model that the next training starts from.

The merge driver writes these models into data/report/lineage.json. They are copied to merged.csv, and from there into
the lineage of the next model.
"""

from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes
from pipeline.lineage.lineage import read_recorded
from pipeline.versioning.lock import read_record

MERGED = "merged.csv"
PATH = paths.MANIFEST / MERGED
# The first line of the file.
HEADER = "model"


def read_merged(path: Path = PATH) -> tuple[str, ...]:
    """Return the hashes in `path`; none where there is no such file."""
    return tuple(path.read_text(encoding="utf-8").splitlines()[1:]) if path.exists() else ()


def to_text(models: tuple[str, ...]) -> str:
    """Return the content of a merged.csv that lists `models`."""
    return "".join(f"{line}\n" for line in (HEADER, *models))


def merged_models(*, again: bool) -> tuple[str, ...]:
    """Return the models that the next training has to list; `again` if it repeats the recorded training.

    Raises:
        RecordError: the models that the recorded training listed are not available.
    """
    train, recorded = read_record().get("train"), read_recorded()
    if train is None:
        return ()
    if again:
        return _named(train.deps.get(PATH.as_posix()), () if recorded is None else recorded.merged)
    is_of_this_model = recorded is not None and recorded.model == train.outs[paths.MODEL.as_posix()]
    return recorded.others if recorded is not None and is_of_this_model else ()


def _named(md5: str | None, recorded: tuple[str, ...]) -> tuple[str, ...]:
    for models in ((), read_merged(), recorded):
        if md5 in (None, md5_of_bytes(to_text(models).encode())):
            return models
    raise RecordError(PATH, "not what dvc.lock records", f"run `dvc checkout {PATH}`, or `dvc pull {PATH}`")
