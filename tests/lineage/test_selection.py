"""The rules for selecting a base, on models with only the facts that decide."""

from collections.abc import Mapping

import pytest

from pipeline.errors import RecordError
from pipeline.lineage.base import FIRST, HELD_OUT, REASONS, REFUSED, WANTED, Base
from pipeline.lineage.selection import Candidates, Situation, select
from pipeline.versioning.lock import StageRecord

CHAIN = {"3.dir": "2.dir", "2.dir": "1.dir", "1.dir": None}


class Chain(Candidates):
    """Three generations, some refused, some not admissible."""

    def __init__(self, refused: str = "", seen: str = "", bases: Mapping[str, str | None] = CHAIN) -> None:
        self._refused, self._seen, self._bases = refused, seen, bases

    def refused(self, last: str, *, has_base: bool) -> frozenset[str]:
        """Return the refused models."""
        assert has_base == (last != "1.dir")
        return frozenset(f"{number}.dir" for number in self._refused)

    def admits(self, model: str) -> bool:
        """Return whether a model is admissible."""
        return model[0] not in self._seen

    def base_of(self, model: str) -> str | None:
        """Return the previous model."""
        return self._bases[model]


def situation(
    last: int | None = 3, *, same_images: bool = False, is_cold: bool = False, has_model: bool = True
) -> Situation:
    """Return a situation in which the model of generation `last` is recorded."""
    base = Base(oid=None, reason=FIRST).hash if last == 1 else f"{(last or 1) - 1}.dir"
    train = None if last is None else StageRecord(deps={"data/base": base}, outs={"data/model": f"{last}.dir"})
    return Situation(is_cold=is_cold, train=train, has_model=has_model, same_images=same_images)


@pytest.mark.parametrize(
    ("refused", "seen", "oid", "reason"),
    [
        ("", "", "3.dir", ""),
        ("3", "", "2.dir", "newer ones are not accepted"),
        ("31", "", "2.dir", "newer ones are not accepted"),
        ("", "3", "2.dir", "newer ones have seen images that they must not"),
        ("3", "2", "1.dir", "newer ones are not accepted or have seen images that they must not"),
        ("3", "3", "2.dir", "newer ones are not accepted"),
        ("", "321", None, HELD_OUT),
        ("321", "", None, REFUSED),
        ("2", "31", None, REFUSED),
    ],
)
def test_other_images(refused: str, seen: str, oid: str | None, reason: str) -> None:
    """Other images start from the newest model that is neither refused nor has seen held out images."""
    assert select(situation(), Chain(refused, seen)) == Base(oid=oid, reason=reason)


@pytest.mark.parametrize(("seen", "oid"), [("", "2.dir"), ("2", "1.dir"), ("21", None)])
def test_same_images(seen: str, oid: str | None) -> None:
    """The same images keep their base, refused or not, unless it has seen held out images."""
    assert select(situation(same_images=True), Chain("321", seen)).oid == oid


class Deleted(Chain):
    """The newest two models are forgotten: they have no list of images, and no verdict."""

    forgotten = frozenset({"3.dir", "2.dir"})

    def refused(self, last: str, *, has_base: bool) -> frozenset[str]:
        """Must not be called."""
        raise AssertionError(last, has_base)

    def admits(self, model: str) -> bool:
        """Return whether it is another model than the forgotten ones."""
        assert model not in self.forgotten
        return True


@pytest.mark.parametrize("same_images", [False, True])
def test_forgotten_models(*, same_images: bool) -> None:
    """Forgotten models are skipped by either rule without being read."""
    base = select(situation(same_images=same_images), Deleted())
    assert base == Base(oid="1.dir", reason="newer ones have seen images that they must not")


def test_no_base() -> None:
    """There is no base if that was requested, if nothing was trained, or if there was none before."""
    assert select(situation(is_cold=True), Chain()) == Base(oid=None, reason=WANTED)
    assert select(situation(None, has_model=False), Chain()) == Base(oid=None, reason=FIRST)
    assert select(situation(1, same_images=True), Chain()) == Base(oid=None, reason=FIRST)


def test_model_without_a_record() -> None:
    """A model without a record is an error."""
    with pytest.raises(RecordError, match="no record of the model"):
        select(situation(None), Chain())


def test_unknown_model() -> None:
    """An unknown model is an error."""
    with pytest.raises(KeyError):
        select(situation(), Chain("3", bases={}))


def test_hashes_of_reasons() -> None:
    """Each reason for no base has a different data/base."""
    assert len({Base(oid=None, reason=reason).hash for reason in REASONS}) == len(REASONS)
