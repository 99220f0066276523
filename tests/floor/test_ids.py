"""Tests for pipeline/ids.py: columns of ids do what sets and lists of their texts do."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline import parquet
from pipeline.ids import Ids

# Few distinct halves, so that ids agree in one and differ in the other.
HALF = st.sampled_from(["0" * 16, "7" + "0" * 15, "f" * 16, "0" * 15 + "1"])
IDS = st.lists(st.tuples(HALF, HALF).map("".join))


def column(texts: list[str]) -> Ids:
    """`texts` as `Ids`, in their order."""
    return Ids.of(parquet.strings(texts))


@given(IDS)
def test_texts_come_back(texts: list[str]) -> None:
    """Packing loses nothing, and sorting sorts as texts do."""
    assert column(texts).texts() == texts
    assert Ids.sorted_of(texts).texts() == sorted(texts)


@given(IDS, IDS)
def test_look_ups(known: list[str], wanted: list[str]) -> None:
    """`find`, `are_among` and `in` agree with lists of texts, whatever order the wanted ids have."""
    among, texts = Ids.sorted_of(known), sorted(known)
    places = among.find(column(wanted)).tolist()
    assert [texts[place] if place >= 0 else None for place in places] == [
        text if text in texts else None for text in wanted
    ]
    assert [text in among for text in wanted] == [text in texts for text in wanted]
    distinct = Ids.sorted_of({*known})
    assert distinct.are_among(column(wanted)).tolist() == [text in wanted for text in distinct.texts()]


@given(IDS, IDS)
def test_joined(some: list[str], others: list[str]) -> None:
    """Two sorted columns become one."""
    both = Ids.sorted_of(some).joined(Ids.sorted_of(others))
    assert both.texts() == sorted(some + others)
    assert both.is_again().tolist() == [at > 0 and text == both.texts()[at - 1] for at, text in enumerate(both.texts())]
