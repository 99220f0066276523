"""Stage 0: what belongs to data/raw, be it here or not → data/raw.hash. Always runs, since only it can tell.

What is new here goes into DVC's cache and into data/raw.dvc; what was here and is gone leaves data/raw.dvc; and what
has never been here stays in it, on the remote. So ingest depends on one hash that is the same in any clone.
"""

from pipeline import paths
from pipeline.images.shard_files import mend
from pipeline.ingestion.labelling.absent_labels import bring_labels
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.params import Params
from pipeline.result import Result
from pipeline.text import counted
from pipeline.versioning.git_guard import check_followed
from pipeline.versioning.raw.content import RawContent, look
from pipeline.versioning.raw.recording import check_whole_record, record
from pipeline.versioning.raw.rule import FileChange
from pipeline.versioning.unhashable import check_hashable


def listing(params: Params) -> Result:
    """Bring data/raw.dvc, data/raw.hash and DVC's cache up to date with data/raw; returns what that holds.

    Shards are no output of a stage, so damaged ones are looked for here, too.

    Raises:
        RecordError: Git has gone on to another data/raw.dvc; or that lost what was never here.
        ImagesError: DVC cannot hash a file.
        MissingDataError: data/raw.dvc lists what is not to be had, and what is needed.
    """
    check_hashable()
    content = look()
    check_whole_record(content)
    check_followed(content.oid, content.belonging.files)
    paths.RAW.mkdir(exist_ok=True)
    content = record(bring_labels(content, Columns(**params.ingest.columns)))
    said = (_sentence(content), mend())
    return Result("; ".join(filter(None, said)), len(content.here))


def _sentence(content: RawContent) -> str:
    files, absent, before = content.belonging
    change = FileChange.between(before, files)
    sentence = f"{counted(len(files), 'file')} in {paths.RAW}"
    if change.moved:
        sentence += f", {change.moved:,} moved"
    if change.removed:
        sentence += f", {change.removed:,} removed"
    if absent:
        sentence += f"; {len(absent):,} of them not here"
    return sentence
