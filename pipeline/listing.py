"""Stage 0: the files of data/raw, whether or not they are present locally → data/raw.hash.

It always runs, since only it can detect changes. New local files are added to DVC's cache and to data/raw.dvc. Files
that were local and are gone are removed from data/raw.dvc. Files that were never local stay in data/raw.dvc, and on the
remote. So ingest depends on a single hash, which is the same in every clone.
"""

from pipeline import paths
from pipeline.images.shard_files import mend
from pipeline.ingestion.labelling.absent_labels import bring_labels
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.params import Params
from pipeline.result import Result
from pipeline.text import counted
from pipeline.versioning.git_guard import check_followed
from pipeline.versioning.lock import read_record
from pipeline.versioning.raw.content import RawContent, look
from pipeline.versioning.raw.recording import check_whole_record, record
from pipeline.versioning.raw.rule import FileChange
from pipeline.versioning.unhashable import check_hashable


def listing(params: Params) -> Result:
    """Update data/raw.dvc, data/raw.hash and DVC's cache to match data/raw.

    Shards are not an output of any stage, so this stage also checks them for damage.

    Raises:
        RecordError: Git has moved to another data/raw.dvc, or data/raw.dvc has lost files that were never local; or
            dvc.lock cannot be read.
        ImagesError: DVC cannot hash a file.
        MissingDataError: a required file that data/raw.dvc lists is neither in the cache nor on the remote.
    """
    read_record()  # Before DVC writes dvc.lock again, which would hide that it was incomplete.
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
