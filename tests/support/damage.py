"""Hypothesis strategies for files that are truncated or changed at any place."""

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st


def cut(files: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for one of `files`, truncated at any place."""
    return st.sampled_from(files).flatmap(lambda raw: st.integers(0, len(raw)).map(lambda end: raw[:end]))


def cuts(whole: bytes, ends: Iterable[int] = ()) -> list[int]:
    """Return where to cut `whole`: all places around `ends`, many places between them, and the full length."""
    near = {end + step for end in ends for step in (-2, -1, 0, 1, 2)}
    return sorted({*near, *range(0, len(whole), 11), len(whole)})


def changed(files: Sequence[bytes], first: int, last: int) -> st.SearchStrategy[bytes]:
    """Return a strategy for one of `files` with one to five bytes changed, half of them between `first` and `last`."""

    def of(raw: bytes) -> st.SearchStrategy[bytes]:
        end = len(raw) - 1
        places = st.integers(min(first, end), min(last, end)) | st.integers(0, end)
        return st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=5).map(lambda at: _put(raw, at))

    return st.sampled_from(files).flatmap(of)


def _put(raw: bytes, changes: Sequence[tuple[int, int]]) -> bytes:
    damaged = bytearray(raw)
    for place, value in changes:
        damaged[place] = value
    return bytes(damaged)
