"""The differences between two tables of images equal those of a comparison image by image."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.status.image_difference import ImageDifference
from pipeline.ingestion.resolving import COLUMNS

ids = st.integers(0, 20).map(lambda number: f"{number * 2**61:032x}")
said = st.tuples(st.sampled_from(["cat", "dog"]), st.sampled_from(["a", "b"]), st.sampled_from(["", "{}"]))
images = st.dictionaries(ids, said)


def table(found: dict[str, tuple[str, str, str]]) -> pa.Table:
    """Return a table with a row per image, in any order."""
    rows = [(image_id, *rest) for image_id, rest in found.items()]
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    return pa.table([pa.array(column, pa.string()) for column in columns], COLUMNS)


@given(images, images)
def test_differences(before: dict[str, tuple[str, str, str]], now: dict[str, tuple[str, str, str]]) -> None:
    """New, removed and kept images are compared correctly."""
    found, both = ImageDifference.between(table(before), table(now)), before.keys() & now.keys()
    assert found == ImageDifference(
        new=now.keys() - before.keys(),
        gone={one: before[one][1] for one in before.keys() - now.keys()},
        moved=sum(before[one][1] != now[one][1] for one in both),
        other={one: (before[one][0], now[one][0]) for one in both if before[one][0] != now[one][0]},
        listed={one for one in both if before[one] != now[one]},
    )
