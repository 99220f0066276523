"""Files cut and changed anywhere."""

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st


def cut(files: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of `files`, cut anywhere."""
    return st.sampled_from(files).flatmap(lambda raw: st.integers(0, len(raw)).map(lambda end: raw[:end]))


def cuts(whole: bytes, ends: Iterable[int] = ()) -> list[int]:
    """Where to cut `whole`: all around `ends`, in many places between, and not at all."""
    near = {end + step for end in ends for step in (-2, -1, 0, 1, 2)}
    return sorted({*near, *range(0, len(whole), 11), len(whole)})


def changed(files: Sequence[bytes], first: int, last: int) -> st.SearchStrategy[bytes]:
    """One of `files` with one to five bytes changed, half of them at the places from `first` to `last`."""

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
