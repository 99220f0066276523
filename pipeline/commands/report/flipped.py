"""Load pictures of the images whose prediction changed, from data/shards, DVC's cache or its remote."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import TreeringError
from pipeline.evaluation.report.thumbnails import Thumbnail, thumbnails
from pipeline.images import index
from pipeline.images.dataset import locate
from pipeline.images.elsewhere import find_index
from pipeline.params import read_params

HINT = f"run `dvc checkout {paths.IMAGES} {paths.SHARDS_DVC}`, or `dvc fetch`"


def pictures(ids: Sequence[str]) -> tuple[dict[str, Thumbnail], str]:
    """Return pictures by image id, and an error message if none can be loaded (else an empty string).

    Images of `ids` that data/images does not contain now are left out.
    """
    try:
        stored = _stored(ids)
        found = locate(stored, read_params().compute)
        made = thumbnails(found.slots, range(len(stored)), found.elsewhere, whole=range(len(stored)))
    except (TreeringError, FileNotFoundError) as error:
        return {}, str(error)
    return {str(stored["id"].iloc[row]): picture for row, picture in made.items()}, ""


def _stored(ids: Sequence[str]) -> pd.DataFrame:
    """Return the columns id and md5 of `ids`, in their order; ids that are not in the index are left out."""
    table = parquet.read_table(find_index(hint=HINT), index.SCHEMA, ["id", "md5"])
    where = pc.index_in(pa.array(ids, pa.string()), table["id"])
    rows: pd.DataFrame = table.take(where.drop_null()).to_pandas()
    return rows
