"""data/manifest/merged.csv: the models of branches that Git merged, and that the next training does not start from.

The driver that merges data/report/lineage.json notes them there; from here they come into the model's own lineage.
"""

from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes
from pipeline.lineage.lineage import read_recorded
from pipeline.versioning.lock import read_record

MERGED = "merged.csv"
PATH = paths.MANIFEST / MERGED
# Its first line.
HEADER = "model"


def read_merged(path: Path = PATH) -> tuple[str, ...]:
    """The hashes in `path`; none where there is no such file."""
    return tuple(path.read_text(encoding="utf-8").splitlines()[1:]) if path.exists() else ()


def to_text(models: tuple[str, ...]) -> str:
    """The content of the file that names `models`."""
    return "".join(f"{line}\n" for line in (HEADER, *models))


def merged_models(*, again: bool) -> tuple[str, ...]:
    """The models that the training to come has to name; `again` if it is the recorded one.

    Raises:
        RecordError: what the recorded training named is not to be had.
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
