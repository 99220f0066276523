"""Stage 1: data/raw → data/images. Decodes new images, refuses unusable ones, and stores the rest in shards.

Runs in `dvc repro`, or alone with `pipeline run ingest`. The cost grows with the number of new images: DVC has already
hashed the files, and images decoded before are known by that hash.
"""

from functools import partial

import numpy as np
import pyarrow as pa

from pipeline import parquet, paths
from pipeline.errors import MissingDataError
from pipeline.ids import Ids
from pipeline.images import index
from pipeline.images.compaction import compact, holding_removed, last_number, undamaged
from pipeline.images.index_rows import FACTS
from pipeline.images.shard_files import ShardFile, adopt_earlier_layout, shards_of_index, suspects
from pipeline.ingestion.additions.journal import Journal
from pipeline.ingestion.additions.new_images import CHANGED, Kept, NewImages
from pipeline.ingestion.additions.shared_chunks import sharing
from pipeline.ingestion.catalogue import Catalogue, CatalogueMember, Listing
from pipeline.ingestion.collection import Collection, Refused, known_classes
from pipeline.ingestion.erasure import read_erased
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.notices import notices, picture_notices, vain_notices
from pipeline.ingestion.places import LINKED, Knowledge, find, list_new_archives, looking_into
from pipeline.ingestion.recipe import recipe_of, still_good, stored_recipe
from pipeline.ingestion.refusals import DROPPED
from pipeline.ingestion.resolving import resolve
from pipeline.ingestion.settled import Settled
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.lineage import selection
from pipeline.params import Ingest, Params
from pipeline.result import ImageChange, Result
from pipeline.splits.copies import copy_notices
from pipeline.text import counted
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw_files import RawFile, changed_files, linked_folders, raw_files
from pipeline.versioning.removals import check_removals, forget_removals


def ingest(params: Params, *, removals_are_recorded: bool = False) -> Result:
    """Bring data/images up to date with data/raw; return a summary.

    Many images removed at once are an error, unless Git's history or a command's note records the removal.
    """
    files, recipe, listing = raw_files(), recipe_of(params.ingest), Listing.of(params.ingest)
    mapping, (old_ids, before, shards) = ClassMapping.read(), _before(recipe, params)
    labels = _labels(files, params.ingest, mapping)
    absent, limit = AbsentFiles.among(files), params.ingest.shard_size * 2**20
    contents, look = list_new_archives(files, before.contents, listing, absent), looking_into(absent, before.refused)
    found = partial(find, Settled.among(files, contents, labels), contents, labels, mapping=mapping)
    with (
        Journal(recipe, after=last_number(before.table), limit=limit) as journal,
        sharing(params.compute.progress, journal, _say) as chunks,
    ):
        new = NewImages(lambda: found(Knowledge(look=look)), before, journal, dict(files))
        if chunks is not None:
            chunks.begin(new.needs())
        kept = new.keep(new.decode(params, absent), contents)
    _forget_changed_archives([file for file in files if file.path not in absent], before.contents, contents)
    places = found(Knowledge(before.unusable | journal.refused, kept.passing, look))
    images, refused, copies = resolve(places.others, places.table())
    table = _index(images, before.table.select(FACTS.names), journal.facts.drain())
    refused = sorted(refused + [Refused(folder, "", *LINKED) for folder in linked_folders()])
    told = [*notices(files, contents, labels, table, refused), *picture_notices(kept.remarks)]
    for notice in [*told, *copy_notices(copies, params)]:
        print(f"ingest: warning: {notice}", flush=True)
    after = Collection(table, contents, refused)
    vain = vain_notices(labels, [line for line in refused if line.reason != DROPPED])
    after.check_usable(params.ingest, "".join(f"{notice}; " for notice in vain))
    change, gone = _change(old_ids, after)
    if not removals_are_recorded:
        check_removals(gone, len(old_ids), params.ingest)
    after = after._replace(table=_in_shards(table, journal, params, shards))
    after.publish(recipe, listing, shards)
    if chunks is not None:
        chunks.clear()
    journal.discard()
    forget_removals()
    return _result(after, change, kept, labels)


def _say(what: str) -> None:
    print(f"ingest: {what}", flush=True)


def _labels(files: list[RawFile], params: Ingest, mapping: ClassMapping) -> Labels:
    names, columns = (file.path for file in files), Columns(**params.columns)
    return Labels.read(files=names, strip=params.strip, columns=columns, classes=known_classes(mapping))


def _change(before: pa.ChunkedArray, after: Collection) -> tuple[ImageChange, set[str]]:
    """Count new and removed images against the ids `before`; return removed ids, except those of dropped classes."""
    ids = Ids.of(before)
    is_gone = Ids.of(after.ids).find(ids) < 0
    gone = before.take(parquet.column_of(np.flatnonzero(is_gone)))
    change = ImageChange(new=len(after.ids) - (len(ids) - len(gone)), removed=len(gone))
    return change, {*gone.to_pylist()} - {*after.dropped.to_pylist()}


def _result(after: Collection, change: ImageChange, kept: Kept, labels: Labels) -> Result:
    dropped = len(after.dropped)
    refused = len(after.refused) - dropped
    sentence = (
        f"{counted(len(after.ids), 'image')}, {change.new:,} new, {change.removed:,} removed, "
        f"{refused:,} refused{f' ({paths.REFUSED})' if refused else ''}; {kept.decoded:,} decoded"
    )
    if in_vain := kept.decoded - kept.stored:
        sentence += f", {in_vain:,} of them copies or refused"
    if dropped:
        sentence += f"; {dropped:,} of dropped classes"
    if labels.unused:
        sentence += (
            f"; {counted(len(labels.unused), 'line')} of {LABELS} matching no image, such as {labels.unused[0]!r}"
        )
    return Result(sentence, kept.decoded, change)


def _before(recipe: str, params: Params) -> tuple[pa.ChunkedArray, Collection, dict[int, ShardFile]]:
    """Return the present ids, the part of data/images that is undamaged and made with `recipe`, and the index's shards.

    The shards need not be present locally.
    """
    adopt_earlier_layout()
    instead = "decoding all images again"
    try:
        index.restore(hint=instead)
    except MissingDataError as error:
        selection.secure(params)  # Fail before decoding all images if the base is missing.
        where, what, _ = error.args
        print(f"ingest: {MissingDataError(where, what, instead)}", flush=True)
    now = Collection.read(FACTS.names)
    ids, made_by = now.ids, stored_recipe(now.recipe)
    now, shards = still_good(now, made_by, recipe), shards_of_index()
    table = undamaged(now.table, suspects(now.table, shards))
    if table.num_rows < now.table.num_rows:
        print(f"ingest: {now.table.num_rows - table.num_rows:,} stored images are damaged: decoding them again")
    return ids, now._replace(table=table), shards


def _in_shards(table: pa.Table, journal: Journal, params: Params, shards: dict[int, ShardFile]) -> pa.Table:
    """Publish the new shards, rewrite `shards` that are mostly unused, and return the updated index `table`."""
    paths.SHARDS.mkdir(parents=True, exist_ok=True)
    journal.publish(paths.SHARDS)
    erased = None if params.manifest.on_removed == "ancestor" else read_erased()
    also = holding_removed(table, erased, shards)
    return compact(table, limit=params.ingest.shard_size * 2**20, also=also, files=shards)


def _forget_changed_archives(files: list[RawFile], before: Catalogue, contents: Catalogue) -> None:
    """Remove new archives from `contents` if their files changed while they were read."""
    new = [file for file in files if is_archive(file.path) and file.md5 not in before]
    for file in changed_files(new) if new else ():
        contents[file.md5] = [CatalogueMember("", 0, refusal=CHANGED)]


def _index(images: pa.Table, before: pa.Table, new: pa.Table) -> pa.Table:
    """Join `images` with the stored facts of each image, from `before` or `new`; return the index."""
    wanted, more = Ids.of(images["id"]), Ids.of(new["id"])
    order = more.order()
    rows = Ids.of(before["id"]).find(wanted)
    lacking = np.flatnonzero(rows < 0)
    found = more[order].find(wanted[lacking])
    assert (found >= 0).all(), "an image is used of which nothing is stored"
    rows[lacking] = len(before) + order[found]
    facts = parquet.rows_at(pa.concat_tables([before, new]), rows).drop_columns("id")
    return pa.Table.from_arrays([*images.columns, *facts.columns], schema=index.WHOLE)
