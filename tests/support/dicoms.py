"""DICOM files, made by pydicom from a few numbers."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

PALETTE = ("Red", "Green", "Blue")


def dicom(pixels: npt.NDArray[Any], *, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """Return a file with `pixels`, shape (height, width) or (height, width, 3); `elements` replace the defaults."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = UID("1.2.3")
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    data.HighBit = data.BitsStored - 1
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 or syntax != ExplicitVRLittleEndian else "OW"
    out = BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def encapsulated(frame: bytes, pixels: npt.NDArray[Any], syntax: str, **elements: Any) -> bytes:
    """Return a file of `pixels` whose only frame is the compressed `frame`."""
    return dicom(pixels, syntax=syntax, PixelData=encapsulate([frame]), **elements)


def coloured(indices: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint16]) -> bytes:
    """Return a file with palette colours; `palette` has the shape (256, 3)."""
    tables: dict[str, Any] = {}
    for at, colour in enumerate(PALETTE):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tables[f"{colour}PaletteColorLookupTableData"] = palette[:, at].tobytes()
    return dicom(indices, PhotometricInterpretation="PALETTE COLOR", **tables)
