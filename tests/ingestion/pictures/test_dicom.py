"""DICOM files: grey in the file's window, colours, one frame, the patient; malicious files are refused."""

import resource
import struct
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from hypothesis import given, settings
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless
from support.damage import changed, cut
from support.dicoms import dicom, encapsulated
from support.formats import encoded, gradient, others

from pipeline.ingestion.refusals import UNUSABLE, Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import Ingest, read_params

PARAMS = read_params(ROOT / "params.yaml").ingest
RAMP = np.linspace(0, 4095, 32 * 40).reshape(32, 40).round().astype(np.uint16)
# As in computed tomography: stored from 0, in Hounsfield units from -1024.
SCALED: dict[str, Any] = {"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -1024}


def picture(raw: bytes, params: Ingest = PARAMS) -> Picture:
    """Return the picture of a usable file."""
    made = make_uniform(raw, params)
    assert isinstance(made, Picture), made
    return made


def values(raw: bytes, how: object = "dtype") -> npt.NDArray[np.int64]:
    """Return the stored values."""
    made = picture(raw, PARAMS.model_copy(update={"range": how}))
    return np.asarray(Image.open(BytesIO(made.data))).astype(np.int64)


def refused(raw: bytes) -> Refusal:
    """Return why a file cannot be used."""
    made = make_uniform(raw, PARAMS)
    assert isinstance(made, Refusal), made
    assert made.reason in UNUSABLE
    assert len(made.detail.splitlines()) == 1
    return made


def windowed(units: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[Any]:
    """Return the result of a window from `low` to `high` for values in units."""
    return np.clip((units - low) / (high - low) * 255, 0, 255)


@pytest.mark.parametrize(
    ("elements", "low", "high"),
    [
        ({"WindowCenter": 40, "WindowWidth": 401}, 40.5 - 1 - 200, 40.5 - 1 + 200),
        ({"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"}, -160, 240),
        ({"WindowCenter": [-600, 40], "WindowWidth": [1501, 401]}, -600.5 - 750, -600.5 + 750),
        ({}, -1024, 3071),
    ],
)
def test_window(elements: dict[str, Any], low: float, high: float) -> None:
    """The first window defines black and white in the modality's units; without one all stored bits are used."""
    found = values(dicom(RAMP, **SCALED, **elements))
    assert np.abs(found - windowed(RAMP.astype(float) - 1024, low, high)).max() <= 0.51


def test_range_comes_before_the_window() -> None:
    """A given range replaces the window, in the same units, for all images."""
    raw = dicom(RAMP, **SCALED, WindowCenter=40, WindowWidth=401)
    units = RAMP.astype(float) - 1024
    assert np.abs(values(raw, [-1000, 400]) - windowed(units, -1000, 400)).max() <= 0.51
    low, high = np.percentile(units, (0.5, 99.5))
    assert np.abs(values(raw, "percentile") - windowed(units, low, high)).max() <= 0.51


@pytest.mark.parametrize("how", ["dtype", "percentile", [0, 4095]])
def test_monochrome1_is_inverted(how: object) -> None:
    """If the lowest value means white, it is stored white, with any range."""
    plain, inverted = (
        values(dicom(RAMP, BitsStored=12, PhotometricInterpretation=name), how)
        for name in ("MONOCHROME2", "MONOCHROME1")
    )
    assert np.abs(plain + inverted - 255).max() <= 1
    assert inverted[0, 0] > 250


def test_signed_values_and_padding() -> None:
    """Negative values are valid; padding becomes black, and does not count for percentiles."""
    signed = RAMP.astype(np.int16) - 1024
    signed[:16] = -2000
    raw = dicom(signed, PixelPaddingValue=-2000)
    assert (values(raw, "percentile")[:16] == 0).all()
    assert np.abs(values(raw, [0, 1000])[16:] - windowed(signed[16:].astype(float), 0, 1000)).max() <= 0.51
    assert values(raw, "percentile")[16].max() < 20


def test_lookup_table_of_values() -> None:
    """A modality lookup table is applied before the window."""
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "OW", ((255 - np.arange(4096) // 16) * 257).astype(np.uint16).tobytes())
    raw = dicom(RAMP, BitsStored=12, VOILUTSequence=[table], WindowCenter=5, WindowWidth=5)
    assert np.abs(values(raw) - (255 - RAMP.astype(int) // 16)).max() <= 1
    assert np.abs(values(raw, [0, 4095]) - RAMP / 4095 * 255).max() <= 0.51


def test_little_of_the_range_is_said() -> None:
    """A window that shows almost nothing is reported."""
    assert picture(dicom(RAMP // 64, BitsStored=16)).remark == "0…63 of 0…65,535"
    assert picture(dicom(RAMP, BitsStored=12)).remark == ""


def test_first_frame() -> None:
    """Of several frames the first one is taken if the param says so."""
    grey = np.asarray(gradient("L"))
    raw = dicom(grey, NumberOfFrames=2, PixelData=grey.tobytes() + bytes(grey.size))
    assert refused(raw).reason == "animation"
    first = picture(raw, PARAMS.model_copy(update={"animations": "first"}))
    assert np.array_equal(np.asarray(Image.open(BytesIO(first.data))), grey)


def test_patient_is_a_hash() -> None:
    """Images of one patient have the same hash, which does not contain the name; spaces do not count."""
    one, same, other, none = (
        picture(dicom(RAMP, BitsStored=12, PatientID=name)).patient for name in ("Doe^1", " Doe^1 ", "Doe^2", "")
    )
    assert one == same != other
    assert "Doe" not in one
    assert len(one) == 16
    assert none == ""
    assert picture(encoded(gradient("L"), "PNG")).patient == ""


def test_sixteen_bits_of_colour() -> None:
    """16-bit colours keep their upper bits."""
    deep = np.asarray(gradient("RGB")).astype(np.uint16) * 257
    assert np.array_equal(values(dicom(deep)), np.asarray(gradient("RGB")))


def test_dimensions_that_are_not_there() -> None:
    """Too large dimensions are refused by the header alone; missing pixels are reported."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(dicom(RAMP, Rows=60_000, Columns=60_000)).reason == "too large"
    assert refused(dicom(RAMP, Rows=33)).reason == "truncated"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 2**10
    for name in ("Rows", "Columns", "PixelData", "PhotometricInterpretation"):
        data = dcmread(BytesIO(dicom(RAMP)))
        delattr(data, name)
        data.save_as(out := BytesIO())
        assert refused(out.getvalue()).reason == "unsupported pixels"


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)])
def test_frame_that_is_larger_than_the_header_says(kind: str, syntax: str) -> None:
    """A compressed frame is not decoded to another size than the header's."""
    options = {"no_jp2": True} if kind == "JPEG2000" else {}
    large = encoded(Image.new("L", (12_000, 12_000)), kind, **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(encapsulated(large, np.asarray(gradient("L")), syntax)).reason == "broken"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 2**10


def test_runs_that_would_fill_memory() -> None:
    """A frame of run lengths that is longer than its pixels could be is not decoded."""
    runs = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 2**21
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(encapsulated(runs, np.asarray(gradient("L")), RLELossless)).reason == "broken"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 2**10


def test_deflated_files_are_not_inflated() -> None:
    """Deflated files, which may have any size inside, are not inflated."""
    data = dcmread(BytesIO(dicom(RAMP)))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(out := BytesIO())
    assert refused(out.getvalue()) == Refusal(
        "unsupported format", "a deflated DICOM file; save it without deflate compression"
    )


def test_header_of_a_million_elements() -> None:
    """A header of a million elements is not read into memory as a whole."""
    raw = dicom(RAMP)
    element = struct.pack("<HH2sH", 9, 0x1001, b"LO", 0)
    inside = b"\xfe\xff\0\xe0" + struct.pack("<I", 0xFFFFFFFF) + 400_000 * element + b"\xfe\xff\x0d\xe0\0\0\0\0"
    sequence = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + inside + b"\xfe\xff\xdd\xe0\0\0\0\0"
    at = raw.index(struct.pack("<HH2s", 0x28, 2, b"US"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(raw[:at] + sequence + raw[at:]).reason == "too large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 2**10


BASES = [raw for kind, _, raw in others() if kind == "DICOM"]


@settings(max_examples=150, deadline=None)
@given(cut(BASES))
def test_any_truncation(raw: bytes) -> None:
    """A file truncated anywhere is a picture or a refusal, without an exception."""
    made = make_uniform(raw, PARAMS)
    assert isinstance(made, Picture) or made.reason in UNUSABLE


@settings(max_examples=300, deadline=None)
@given(changed(BASES, 128, 700))
def test_any_damage(raw: bytes) -> None:
    """A file with some bytes changed is a picture or a refusal, without an exception."""
    made = make_uniform(raw, PARAMS)
    assert isinstance(made, Picture) or made.reason in UNUSABLE
