"""Decoding in other processes keeps the order, and survives an image that kills its process."""

import hashlib
import os
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from conftest import ROOT, save_png

from pipeline.ingestion import decoding, standardising
from pipeline.ingestion.decoding import BATCH, MAX_RESULTS, Job, KnownIds, Place, decode
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture
from pipeline.params import Ingest, read_params

PARAMS = read_params(ROOT / "params.yaml").ingest


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty data/raw of the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    return tmp_path / "data/raw"


def numbered(raw: Path, count: int) -> list[Place]:
    """Write `count` different images."""
    for number in range(count):
        save_png(np.full((8, 8), number), raw / f"{number:03d}.png")
    return [Place(f"{number:03d}.png") for number in range(count)]


def test_outcomes_come_in_order(raw: Path) -> None:
    """The results are in the order of the places for any number of processes."""
    places = numbered(raw, 3 * BATCH + 1)
    outcomes = list(decode(places, Job(KnownIds([]), PARAMS), workers=2))
    assert [outcome.place for outcome in outcomes] == places
    assert all(isinstance(outcome.result, Picture) for outcome in outcomes)
    assert [outcome.id for outcome in outcomes] == [
        hashlib.md5((raw / place.path).read_bytes()).hexdigest() for place in places
    ]


def test_batches_of_large_results_end_early(raw: Path) -> None:
    """Data in flight is limited in bytes as well as in number, and nothing is lost."""
    chance = np.random.default_rng(0)
    places = [Place(f"{number}.png") for number in range(9)]
    for place in places:
        save_png(chance.integers(0, 256, (1600, 1600)), raw / place.path)
    params = PARAMS.model_copy(update={"size": 2048})
    outcomes = list(decode(places, Job(KnownIds([]), params), workers=1))
    assert [outcome.place for outcome in outcomes] == places
    assert (
        sum(len(outcome.result.data) for outcome in outcomes if isinstance(outcome.result, Picture)) > 2 * MAX_RESULTS
    )
    decoding._set_up(Job(KnownIds([]), params))
    assert len(decoding._decode_batch(places)) < len(places)


def test_known_images_are_not_decoded(raw: Path) -> None:
    """A file with a known id is read, but not decoded."""
    places = numbered(raw, 2)
    known = hashlib.md5((raw / "001.png").read_bytes()).hexdigest()
    first, second = decode(places, Job(KnownIds([known]), PARAMS), workers=1)
    assert isinstance(first.result, Picture)
    assert second == (places[1], known, None)


def test_vanished_file_is_refused(raw: Path) -> None:
    """A file that has disappeared is refused temporarily."""
    (outcome,) = decode([Place("gone.png")], Job(KnownIds([]), PARAMS), workers=1)
    assert isinstance(outcome.result, Refusal)
    assert outcome.result.is_passing
    assert raw.exists()


def _deadly(raw: bytes, params: Ingest, **_: object) -> Picture | Refusal:
    """Simulate a decoder that crashes in native code."""
    if raw == b"deadly":
        os.abort()
    return standardising.make_uniform(raw, params)


def test_image_that_kills_its_decoder_is_refused_alone(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the image that kills its decoder is refused; all others are decoded."""
    monkeypatch.setattr(decoding, "BATCH", 4)  # Each batch of these is decoded by its own process.
    places = numbered(raw, 9)
    (raw / "002.png").write_bytes(b"deadly")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    outcomes = list(decode(places, Job(KnownIds([]), PARAMS, make=_deadly), workers=2))
    assert [outcome.place for outcome in outcomes] == places
    refused = [outcome for outcome in outcomes if isinstance(outcome.result, Refusal)]
    assert refused == [
        (places[2], hashlib.md5(b"deadly").hexdigest(), Refusal("broken", "decoding it kills the decoder"))
    ]


@pytest.mark.parametrize("ids", [[], ["00" * 16], [f"{number:032x}" for number in range(0, 2**20, 4097)]])
def test_known_ids_are_a_set(ids: list[str]) -> None:
    """The set contains exactly the ids that were put in."""
    known = KnownIds(ids)
    assert len(known) == len(ids)
    assert all(image_id in known for image_id in ids)
    assert "ff" * 16 not in known
    assert f"{1:032x}" not in known
