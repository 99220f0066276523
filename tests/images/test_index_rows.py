"""Facts about images in compact form."""

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.index_rows import FACTS, IndexRows


def hexadecimal(size: int) -> st.SearchStrategy[str]:
    """Return a strategy for `size` bytes in hexadecimal digits."""
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


small = st.integers(0, 2**31 - 1)
facts = st.fixed_dictionaries(
    {
        "id": hexadecimal(16),
        "shard": small,
        "offset": st.integers(0, 2**63 - 1),
        "length": small,
        "width": small,
        "height": small,
        "md5": hexadecimal(16),
        "key": hexadecimal(8),
        "descriptor": st.binary(min_size=64, max_size=64),
        "reader": st.sampled_from(["", "deep", "pydicom 3.0.2", None]),
        "patient": st.sampled_from(["", "0123456789abcdef"]),
    }
)


@given(st.lists(facts, unique_by=lambda fact: fact["id"]))
def test_facts_are_what_was_added(added: list[dict[str, Any]]) -> None:
    """Facts are read back one by one and as a table, in the order of addition."""
    kept = IndexRows()
    for fact in added:
        kept.add(fact)
    assert list(kept) == [fact["id"] for fact in added]
    assert [kept[image_id] for image_id in kept] == added
    assert all(fact["id"] in kept for fact in added)
    assert kept.drain().equals(pa.Table.from_pylist(added, FACTS))
    assert not kept


def test_nothing_is_no_fact() -> None:
    """Without images the table is empty."""
    assert "0" * 32 not in IndexRows()
    assert IndexRows().drain().equals(FACTS.empty_table())


@given(facts, facts)
def test_later_fact_replaces_the_earlier(one: dict[str, Any], other: dict[str, Any]) -> None:
    """A later fact about an image replaces the earlier one."""
    kept = IndexRows()
    kept.add(one)
    kept.add({**other, "id": one["id"]})
    assert len(kept) == 1
    assert kept[one["id"]] == {**other, "id": one["id"]}
