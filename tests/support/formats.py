"""A small file of each format and mode, written by Pillow where it can, else by another library."""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image
from pydicom.pixels.utils import set_pixel_data
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless
from support.dicoms import coloured, dicom, encapsulated

# The modes that a file of each format can have, for formats that Pillow writes.
MODES = {
    "AVIF": ("RGB", "RGBA"),
    "BLP": ("P",),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "DDS": ("L", "LA", "RGB", "RGBA"),
    "DIB": ("RGB",),
    "EPS": ("L", "RGB", "CMYK"),
    "GIF": ("1", "L", "P", "RGBA"),
    "ICNS": ("RGBA",),
    "ICO": ("1", "L", "P", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "JPEG2000": ("L", "LA", "I;16", "RGB", "RGBA", "CMYK"),
    "MPO": ("RGB",),
    "MSP": ("1",),
    "PALM": ("P",),
    "PCX": ("1", "L", "P", "RGB"),
    "PDF": ("RGB",),
    "PNG": ("1", "L", "LA", "P", "I;16", "RGB", "RGBA"),
    "PPM": ("1", "L", "I;16", "F", "RGB", "RGBA"),
    "QOI": ("RGB", "RGBA"),
    "SGI": ("L", "RGB", "RGBA"),
    "SPIDER": ("F",),
    "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "I;16", "I", "F", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"),
    "WEBP": ("RGB", "RGBA"),
    "XBM": ("1",),
}
OPTIONS: dict[str, dict[str, Any]] = {"AVIF": {"max_threads": 1, "speed": 6}, "WEBP": {"lossless": True, "exact": True}}
SIDES = (40, 32)


def gradient(mode: str) -> Image.Image:
    """Return a smooth gradient with all values from dark to bright; the transparent half, if any, is on the right."""
    y, x = np.mgrid[: SIDES[1], : SIDES[0]]
    planes = (x * 6, y * 8, 255 - x * 6, np.where(x < SIDES[0] // 2, 255, 0))
    rgba = Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))
    grey = np.asarray(rgba.convert("RGB").convert("L")).astype(np.uint16)
    if mode in ("I;16", "I", "F"):
        return Image.fromarray((grey * 257).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    if mode == "LA":
        return Image.merge("LA", (rgba.convert("RGB").convert("L"), rgba.getchannel("A")))
    if mode == "LAB":
        return Image.frombytes("LAB", rgba.size, rgba.convert("RGB").tobytes())
    return rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return `image` as the bytes of a file."""
    out = BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(out, quality=-1, chroma=444, **options)
    else:
        image.save(out, kind, **OPTIONS.get(kind, {}), **options)
    return out.getvalue()


def photoshop(image: Image.Image, *, bits: int = 8, merged: bool = True, channels: int | None = None) -> bytes:
    """Return a Photoshop file with the merged picture `image`, and a resource that states whether it is one."""
    bands = image.getbands()
    number = {"1": 0, "L": 1, "RGB": 3, "RGBA": 3, "CMYK": 4}[image.mode]
    content = struct.pack(">IB", 1, merged) + bytes(7)
    resource = b"8BIM" + struct.pack(">HHI", 1057, 0, len(content)) + content
    planes = (image.getchannel(band).tobytes() for band in bands)
    inverted = (bytes(255 - value for value in plane) for plane in planes) if image.mode == "CMYK" else planes
    return b"".join(
        (
            struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels or len(bands), image.height, image.width, bits, number),
            struct.pack(">II", 0, len(resource)),
            resource,
            struct.pack(">IH", 0, 0),
            *inverted,
        )
    )


def written_by_pillow() -> Iterator[tuple[str, str, bytes]]:
    """Yield format, mode and bytes of each file that Pillow writes."""
    for kind, modes in MODES.items():
        for mode in modes:
            yield kind, mode, encoded(gradient(mode), kind)


def others() -> Iterator[tuple[str, str, bytes]]:
    """Yield format, description and bytes of each file that another library, or a few lines of code, writes."""
    for mode in ("L", "RGB", "RGBA"):
        yield "HEIF", mode, encoded(gradient(mode), "HEIF")
    for mode in ("1", "L", "RGB", "RGBA", "CMYK"):
        yield "PSD", mode, photoshop(gradient(mode), bits=1 if mode == "1" else 8)
    yield "PSD", "16 bits", photoshop(gradient("RGB"), bits=16)
    yield "PSD", "no merged picture", photoshop(gradient("RGB"), merged=False)
    yield from _dicoms()


def _dicoms() -> Iterator[tuple[str, str, bytes]]:
    grey, colours = np.asarray(gradient("L")), np.asarray(gradient("RGB"))
    deep = np.asarray(gradient("I;16")) >> 4
    palette = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 7)], axis=-1).astype(np.uint16) * 257
    yield "DICOM", "MONOCHROME2", dicom(deep, BitsStored=12)
    yield "DICOM", "MONOCHROME1", dicom(deep, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    yield "DICOM", "RGB", dicom(colours)
    yield "DICOM", "YBR_FULL", dicom(np.asarray(gradient("YCbCr")), PhotometricInterpretation="YBR_FULL")
    yield "DICOM", "PALETTE COLOR", coloured(grey, palette)
    yield "DICOM", "HSV", dicom(colours, PhotometricInterpretation="HSV")
    yield "DICOM", "several frames", dicom(grey, NumberOfFrames=2, PixelData=grey.tobytes() * 2)
    yield "DICOM", "run lengths", run_lengths(grey)
    jpeg = encoded(gradient("L"), "JPEG", quality=95)
    yield "DICOM", "JPEG", encapsulated(jpeg, grey, JPEGBaseline8Bit)
    codestream = encoded(gradient("L"), "JPEG2000", no_jp2=True)
    yield "DICOM", "JPEG 2000", encapsulated(codestream, grey, JPEG2000Lossless)
    yield "DICOM", "JPEG-LS", encapsulated(b"\xff\xd8\xff\xf7" + bytes(20), grey, JPEGLSLossless)


def run_lengths(grey: Any) -> bytes:
    """Return a DICOM file with the 8-bit pixels `grey`, compressed with run lengths."""
    from pydicom import dcmread

    data = dcmread(BytesIO(dicom(grey)))
    set_pixel_data(data, grey, "MONOCHROME2", 8)
    data.compress(RLELossless, generate_instance_uid=False)
    out = BytesIO()
    data.save_as(out)
    return out.getvalue()
