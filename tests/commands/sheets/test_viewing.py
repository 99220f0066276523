"""Small pictures of images in any place."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageFile
from support.kinds import noise, put_kinds
from support.pictures import decoded

from pipeline.commands.sheets import viewing
from pipeline.commands.sheets.viewing import make_visible, view
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.pictures.uniform import NO_GATE
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import make_uniform
from pipeline.pages import pictures
from pipeline.params import read_params

PARAMS = read_params(ROOT / "params.yaml")
PARAMS = PARAMS.model_copy(update={"compute": PARAMS.compute.model_copy(update={"workers": 1})})


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image file."""
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_every_kind_of_image(tmp_path: Path) -> None:
    """All images that ingest accepts are shown as they would be stored, reproducibly."""
    put_kinds(tmp_path / "kinds")
    places = [Place(str(path)) for path in sorted((tmp_path / "kinds").iterdir())]
    shown = view(places, PARAMS)
    assert list(shown) == places
    assert all(max(decoded(uri).size) <= pictures.SIDE for uri in shown.values())
    assert view(places[::-1], PARAMS) == shown


CUT = file_of(noise(1, 300, 200), "JPEG")[:2000]
FLOATS = file_of(Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)), "TIFF")
REFUSED = {
    "truncated": CUT,
    "unsupported pixels": FLOATS,
    "absurd dimensions": file_of(Image.new("RGB", (900, 3), "red")),
    "animation": file_of(noise(2), "GIF", save_all=True, append_images=[noise(3)]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused_images(reason: str) -> None:
    """A refused image is shown if Pillow can read it; Pillow's settings do not change."""
    raw, ingest = REFUSED[reason], PARAMS.ingest
    refusal = make_uniform(raw, ingest)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    made = make_visible(raw, ingest.model_copy(update={"animations": "first"}), one_at_a_time=NO_GATE)
    assert not isinstance(made, Refusal)
    assert min(made.width, made.height) >= 1
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_floats_are_stretched() -> None:
    """The smallest float is black, the largest is white; NaN counts as 0."""
    values = np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)
    values[0, 0] = np.nan
    made = make_visible(file_of(Image.fromarray(values), "TIFF"), PARAMS.ingest, one_at_a_time=NO_GATE)
    assert not isinstance(made, Refusal)
    assert Image.open(BytesIO(made.data)).convert("L").getextrema() == (0, 255)


@pytest.mark.parametrize("raw", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_nothing_to_show(raw: bytes) -> None:
    """A file that is not an image stays refused."""
    assert isinstance(make_visible(raw, PARAMS.ingest, one_at_a_time=NO_GATE), Refusal)


def test_memory_is_bounded() -> None:
    """A refused image that would need much memory is not decoded."""
    raw = file_of(Image.new("L", (60_000, 590)))
    assert isinstance(make_visible(raw, PARAMS.ingest, one_at_a_time=NO_GATE), Refusal)


def test_archives_and_missing_files(tmp_path: Path) -> None:
    """Members are shown in the requested order; a missing or unreadable file has no picture."""
    names = [f"{number}.png" for number in range(5)]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, file_of(noise(number)))
        archive.writestr("text", "text")
    places = [Place(str(tmp_path / "a.zip"), name, number) for number, name in enumerate([*names, "text"])]
    wanted = [places[3], places[5], Place(str(tmp_path / "gone")), places[0], places[3]]
    shown = view(wanted, PARAMS)
    assert list(shown) == [places[3], places[0]]
    assert decoded(shown[places[0]]).tobytes() == decoded(view([places[0]], PARAMS)[places[0]]).tobytes()
    assert view([], PARAMS) == {}


def test_pictures_are_bounded_in_number_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pictures are shown, whatever their order on disk."""
    for number in range(5):
        noise(number).save(tmp_path / f"{number}.png")
    places = [Place(str(tmp_path / f"{number}.png")) for number in (4, 3, 2, 1, 0)]
    everything = view(places, PARAMS)
    monkeypatch.setattr(viewing, "MOST", 3)
    assert list(view(places, PARAMS)) == places[:3]
    monkeypatch.setattr(pictures, "LIMIT", sum(len(everything[place]) for place in places[:2]))
    assert list(view(places, PARAMS)) == places[:2]
