"""Opens DICOM files as Pillow opens other formats: the header at once, the first frame on `load`.

Grey values become floats in the modality's units (PS3.3 C.11.1); the window says which of them are black and white.
"""

from hashlib import md5
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from pipeline.ingestion.pictures.unusable import UnusableError

DICOM_START = (128, b"DICM")
PYDICOM = "pydicom"
# Supported transfer syntaxes, with pydicom's plugin for each; others would depend on what else is installed.
SYNTAXES = {
    "1.2.840.10008.1.2": "",
    "1.2.840.10008.1.2.1": "",
    "1.2.840.10008.1.2.2": "",
    "1.2.840.10008.1.2.5": "pydicom",  # RLE
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG
    "1.2.840.10008.1.2.4.90": "pillow",  # JPEG 2000, without loss
    "1.2.840.10008.1.2.4.91": "pillow",
}
# Refused: pydicom would inflate the whole data set at once, to any size.
DEFLATED = b"1.2.840.10008.1.2.1.99"
GREYS = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
# Each data element takes two reads; a header with more would take more memory than the pixels.
MAX_READS = 2**18
# RLE data is hardly longer than the pixels; longer data is an attack. A factor, and extra bytes.
MOST_RUNS, MOST_EXTRA = 2, 2**16
TAGS = [
    *("PatientID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("VOILUTSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
]


def is_dicom(raw: bytes) -> bool:
    """Whether the bytes `raw` have the preamble and the prefix of a DICOM file."""
    offset, mark = DICOM_START
    return raw[offset : offset + len(mark)] == mark


class DicomImageFile(ImageFile.ImageFile):
    """A DICOM file; `info` has the keys patient, inverted and, after `load`, window.

    If `info["as_shown"]` is False, values stay in the modality's units even if the file has a VOI lookup table.
    """

    format = "DICOM"
    format_description = "DICOM"

    def _open(self) -> None:
        assert self.fp is not None
        self.data = _read(self.fp.read())
        self._size = (int(self.data.get("Columns") or 0), int(self.data.get("Rows") or 0))
        self.shown_as = str(self.data.get("PhotometricInterpretation", ""))
        if self.shown_as not in (*GREYS, *COLOURS) or "PixelData" not in self.data or not all(self.size):
            what = f"photometric interpretation {self.shown_as[:20]!r}" if all(self.size) else "no pixels of integers"
            raise UnusableError("unsupported pixels", f"a DICOM file with {what}; convert it to PNG or JPEG")
        self._mode = "F" if self.shown_as in GREYS else "RGB"
        patient = str(self.data.get("PatientID") or "").strip()
        # Hashed, because the ID may be a person's name, which must not appear in indexes and reports.
        self.info["patient"] = md5(patient.encode(errors="replace")).hexdigest()[:16] if patient else ""
        self.info["inverted"] = self.shown_as == "MONOCHROME1"
        self.n_frames = max(int(self.data.get("NumberOfFrames") or 1), 1)
        self.is_animated = self.n_frames > 1
        self.tile = []

    def load(self) -> Any:
        """Decode the first frame."""
        if self._im is None:
            decoded = self._decoded()
            self.im, self._mode = decoded.im, decoded.mode
            del self.data  # Free memory: it contains the encoded pixels.
        return super().load()

    def _decoded(self) -> Image.Image:
        syntax = str(self.data.file_meta.TransferSyntaxUID)
        check = _check_frame if SYNTAXES[syntax] else _check_length
        check(self.data, self.size)
        from pydicom.pixels import processing
        from pydicom.pixels.utils import pixel_array

        pixels = pixel_array(self.data, index=0, decoding_plugin=SYNTAXES[syntax])
        if self.mode == "F":
            values, self.info["window"] = _in_units(pixels, self.data, as_shown=self.info.get("as_shown", True))
            return Image.fromarray(values)
        if self.shown_as == "PALETTE COLOR":
            pixels = processing.apply_color_lut(pixels, self.data)
            bits = 8 * pixels.dtype.itemsize
        else:
            bits = int(self.data.BitsStored)
        return Image.fromarray((pixels >> max(bits - 8, 0)).astype(np.uint8))


def _read(raw: bytes) -> Any:
    """Return the data elements of the file `raw` that are needed to decode its pixels."""
    try:
        from pydicom import dcmread
    except ModuleNotFoundError:
        raise UnusableError.without(PYDICOM, "a DICOM file") from None
    if DEFLATED in raw:
        raise UnusableError("unsupported format", "a deflated DICOM file; save it without deflate compression")
    data = dcmread(_CountedReads(raw), specific_tags=list(TAGS))
    syntax = data.file_meta.TransferSyntaxUID
    if syntax not in SYNTAXES:
        raise UnusableError("unsupported format", f"a DICOM file in {syntax.name}; decompress it, or convert it to PNG")
    return data


class _CountedReads(BytesIO):
    """A file that allows at most `MAX_READS` reads."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise UnusableError("too large", "a DICOM file with hundreds of thousands of data elements")
        return super().read(size)


def _bytes_of_frame(data: Any, size: tuple[int, int]) -> int:
    samples, bits = int(data.get("SamplesPerPixel") or 1), int(data.BitsAllocated)
    if data.PhotometricInterpretation == "YBR_FULL_422":
        samples = 2
    return (size[0] * size[1] * samples * bits + 7) // 8


def _check_length(data: Any, size: tuple[int, int]) -> None:
    """Check that uncompressed pixels are complete."""
    found, needed = len(data.PixelData), _bytes_of_frame(data, size)
    if found < needed:
        raise UnusableError("truncated", f"{found:,} of {needed:,} bytes of pixels")


def _check_frame(data: Any, size: tuple[int, int]) -> None:
    """Check that the first frame, which is compressed, is no larger than the header declares."""
    from pydicom.encaps import get_frame

    frame = get_frame(data.PixelData, 0, number_of_frames=int(data.get("NumberOfFrames") or 1))
    if SYNTAXES[data.file_meta.TransferSyntaxUID] == PYDICOM:
        is_larger = len(frame) > MOST_RUNS * _bytes_of_frame(data, size) + MOST_EXTRA
    else:
        is_larger = Image.open(BytesIO(frame), formats=("JPEG", "JPEG2000")).size != size
    if is_larger:
        raise UnusableError("broken", "its frame does not have the size in its header")


def _in_units(
    pixels: npt.NDArray[Any], data: Any, *, as_shown: bool
) -> tuple[npt.NDArray[np.float32], tuple[float, float]]:
    """Return grey `pixels` in the modality's units, with the values of black and white.

    If `as_shown`, the file's VOI lookup table is applied, if it has one. Padding becomes NaN.
    """
    from pydicom.pixels import processing

    signed, bits = bool(data.PixelRepresentation), int(data.BitsStored)
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    is_padding = pixels == data.PixelPaddingValue if isinstance(data.get("PixelPaddingValue"), int) else None
    if data.get("ModalityLUTSequence"):
        values = processing.apply_modality_lut(pixels, data)
        window = _of_table(data.ModalityLUTSequence)
    else:
        slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
        values, ends = (one.astype(np.float32) * np.float32(slope) + np.float32(intercept) for one in (pixels, ends))
        window = (float(ends[0]), float(ends[1]))
    if as_shown and data.get("VOILUTSequence"):
        values, window = processing.apply_voi(values.astype(np.int32), data), _of_table(data.VOILUTSequence)
    elif data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        window = _linear(_first(data.WindowCenter), _first(data.WindowWidth), str(data.get("VOILUTFunction", "")))
    values = values.astype(np.float32, copy=False)
    if is_padding is not None:
        values[is_padding] = np.nan
    return values, window


def _linear(centre: float, width: float, function: str) -> tuple[float, float]:
    """Return the values of black and white in a window (PS3.3 C.11.2.1.2); a sigmoid is treated as linear."""
    if function == "LINEAR_EXACT":
        return centre - width / 2, centre + max(width, 1e-3) / 2
    black = centre - 0.5 - (width - 1) / 2
    return black, black + max(width - 1, 1e-3)


def _of_table(sequence: Any) -> tuple[float, float]:
    """Return the output range of a lookup table."""
    return 0, 2 ** int(sequence[0].LUTDescriptor[2]) - 1


def _first(value: Any) -> float:
    """Return the first value of an element that may have several."""
    return float(value[0]) if not isinstance(value, int | float | str) and hasattr(value, "__len__") else float(value)
