"""Opens images of all supported formats, and refuses implausible headers before Pillow sees them."""

import struct
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from pipeline.ingestion.pictures.dicom import PYDICOM, DicomImageFile, is_dicom
from pipeline.ingestion.pictures.unusable import UnusableError

# Formats that Pillow identifies safely.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Formats whose headers are checked first, by their first bytes; TGA files have no signature.
STARTS = {b"DDS ": "DDS", b"\0\0\1\0": "ICO", b"\x0a": "PCX", b"8BPS": "PSD", b"\x01\xda": "SGI", b"": "TGA"}
PILLOW_HEIF = "pillow-heif"
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
# Optional readers, by format. Unlike Pillow's version, which is in the recipe, theirs are recorded per image.
PACKAGES = {"HEIF": PILLOW_HEIF, "DICOM": PYDICOM}
DEEP = "deep"
# In pixels. Pillow decodes uncompressed DDS pixel by pixel, at 3 µs each.
MOST_DDS = 2048**2
# In pixels. No icon is larger, and Pillow decodes an icon without a check of its size.
MOST_ICO = 1024
# Grey, palette, RGB, CMYK, duotone; Pillow shows other modes in other colours than Photoshop.
PSD_MODES = (1, 2, 3, 4, 8)
PSD_VERSION_INFO, MOST_RESOURCES = 1057, 10_000
TGA_DEPTHS = {1: (8,), 2: (16, 24, 32), 3: (1, 8, 16), 9: (8,), 10: (16, 24, 32), 11: (8, 16)}
TGA_FOOTER = b"TRUEVISION-XFILE.\0"


def opened(raw: bytes) -> Image.Image:
    """Open the image in the bytes `raw`; only its header is read, but icons are decoded.

    Raises:
        UnidentifiedImageError: the format is not supported.
        UnusableError: the image is refused because of its header.
        Exception: damaged bytes may raise nearly any exception.
    """
    Image.init()  # Without it, Pillow has loaded the most common formats only.
    try:
        return Image.open(BytesIO(raw), formats=FORMATS)
    except UnidentifiedImageError:
        if is_dicom(raw):
            return DicomImageFile(BytesIO(raw))
        if raw[4:8] == b"ftyp" and raw[8:12] in HEIF_BRANDS:
            return _heif(raw)
        kind = next((kind for start, kind in STARTS.items() if raw.startswith(start) and CHECKS[kind](raw)), None)
        if kind is None:
            raise
    try:
        return Image.open(BytesIO(raw), formats=(kind,))
    except (UnidentifiedImageError, OSError, ValueError, NotImplementedError) as error:
        said = "it is damaged, or of a rare kind" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnusableError("unsupported pixels", f"a {kind} file: {said}; convert it to PNG or JPEG") from None


def is_several(image: Image.Image) -> bool:
    """Whether `image` has several frames or pages.

    A camera's JPEG with appended JPEGs (MPO) counts as one picture, and so do the layers of a Photoshop file.
    """
    return image.format not in ("MPO", "PSD") and bool(getattr(image, "is_animated", False))


def visible(image: Image.Image) -> Image.Image:
    """Return the loaded `image`, made opaque if all of it is transparent.

    In DDS and TGA files of games, such an alpha channel has another meaning.
    """
    is_clear = image.format in ("DDS", "TGA") and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)
    return image.convert("RGB") if is_clear else image


def reader_of(image: Image.Image, *, is_deep: bool) -> str:
    """Return what the stored bytes of `image` depend on besides the recipe: a package's version, and `DEEP`.

    `DEEP` marks images that depend on `ingest.range`.
    """
    package = PACKAGES.get(image.format or "")
    return " ".join([*([package, version(package)] if package else []), *([DEEP] if is_deep else [])])


def is_by_another(reader: str) -> bool:
    """Whether `reader`, from `reader_of`, names a package that is installed in another version."""
    package, *rest = reader.split()
    try:
        return package in PACKAGES.values() and rest[0] != version(package)
    except PackageNotFoundError:
        return False


def _heif(raw: bytes) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ModuleNotFoundError:
        raise UnusableError.without(PILLOW_HEIF, "a HEIC file") from None
    image: Image.Image = HeifImageFile(BytesIO(raw))  # type: ignore[no-untyped-call]
    return image


def _check_dds(raw: bytes) -> bool:
    if len(raw) < 128:
        raise UnusableError("truncated", f"a DDS file of {len(raw)} bytes")
    height, width, flags = (struct.unpack_from("<I", raw, at)[0] for at in (12, 16, 80))
    if flags & 0x40 and width * height > MOST_DDS:
        raise UnusableError("too large", f"{width} × {height} uncompressed pixels of a DDS file take minutes to decode")
    return True


def _check_ico(raw: bytes) -> bool:
    """Whether the file contains icons; checks each icon's own header, since Pillow trusts the directory."""
    count: int = struct.unpack_from("<H", raw, 4)[0] if len(raw) >= 6 else 0
    for at in range(6, min(6 + 16 * count, len(raw) - 15), 16):
        (start,) = struct.unpack_from("<I", raw, at + 12)
        form, where = (">II", start + 16) if raw[start : start + 4] == b"\x89PNG" else ("<II", start + 4)
        if where + 8 <= len(raw) and max(struct.unpack_from(form, raw, where)) > 2 * MOST_ICO:
            raise UnusableError("too large", f"an ICO file with an icon of more than {MOST_ICO} pixels")
    return count > 0


def _check_pcx(raw: bytes) -> bool:
    return len(raw) >= 128 and raw[1] in (0, 2, 3, 5) and raw[2] == 1 and raw[64] == 0


def _check_sgi(raw: bytes) -> bool:
    return len(raw) > 512 and raw[2] in (0, 1) and raw[3] in (1, 2)


def _check_psd(raw: bytes) -> bool:
    """Check that the file contains a merged picture of 8 bits per channel; return True."""
    if len(raw) < 34:
        raise UnusableError("truncated", f"a PSD file of {len(raw)} bytes")
    version_, bits, mode = (struct.unpack_from(">H", raw, at)[0] for at in (4, 22, 24))
    if version_ != 1 or mode not in PSD_MODES or bits != 8:
        what = "large (PSB)" if version_ == 2 else f"mode {mode}, depth {bits}"
        raise UnusableError("unsupported pixels", f"a PSD file ({what}); save it with 8 bits as PNG")
    for number, (kind, content) in enumerate(_psd_resources(raw)):
        if kind == PSD_VERSION_INFO and content[4:5] == b"\0":
            what = "without a merged picture; save it with `maximise compatibility`, or as PNG"
            raise UnusableError("unsupported pixels", f"a PSD file {what}")
        if number > MOST_RESOURCES:
            raise UnusableError("broken", f"a PSD file with more than {MOST_RESOURCES:,} image resources")
    return True


def _psd_resources(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the id and the first 16 bytes of each image resource."""
    at = 30 + struct.unpack_from(">I", raw, 26)[0]
    if at + 4 > len(raw):
        return
    end = min(at + 4 + struct.unpack_from(">I", raw, at)[0], len(raw))
    at += 4
    while at + 12 <= end:
        (kind,) = struct.unpack_from(">H", raw, at + 4)
        named = at + 6 + (raw[at + 6] + 2) // 2 * 2
        if named + 4 > end:
            return
        (size,) = struct.unpack_from(">I", raw, named)
        yield kind, raw[named + 4 : named + 4 + min(size, 16)]
        at = named + 4 + (size + 1) // 2 * 2


def _check_tga(raw: bytes) -> bool:
    """Whether `raw` is a TGA file: it has the footer, or its whole header is plausible; a text may match in part."""
    if len(raw) < 18:
        return False
    id_length, has_map, kind, _, colours, map_depth, _, _, width, height, depth, flags = struct.unpack_from(
        "<BBBHHBHHHHBB", raw
    )
    if has_map not in (0, 1) or depth not in TGA_DEPTHS.get(kind, ()) or not width or not height or flags & 0xC0:
        return False
    if has_map != (kind & 7 == 1) or (not has_map and (colours or map_depth)):
        return raw.endswith(TGA_FOOTER)
    pixels = 18 + id_length + (colours * ((map_depth + 7) // 8) if has_map else 0)
    is_whole = len(raw) - pixels == (width * depth + 7) // 8 * height
    return raw.endswith(TGA_FOOTER) or is_whole or kind & 8 != 0


CHECKS = {
    "DDS": _check_dds,
    "ICO": _check_ico,
    "PCX": _check_pcx,
    "PSD": _check_psd,
    "SGI": _check_sgi,
    "TGA": _check_tga,
}
