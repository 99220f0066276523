"""Identifies common archive and image formats that are not supported, by their first bytes."""

ZIP = b"PK\3\4"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
# The first bytes of a Windows program.
PROGRAM = b"MZ"
OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    ZSTANDARD: "a Zstandard archive",
    b"LZIP": "an lzip archive",
    b"\x04\x22\x4d\x18": "an LZ4 archive",
    b"\x1f\x9d": "a compress (.Z) archive",
    b"MSCF": "a cabinet archive",
}
UNPACK = "unpack it, or pack it as .zip"
LONGEST = max(map(len, OTHER_ARCHIVES))


def kind_of(start: bytes) -> str | None:
    """Return the unsupported archive format whose files begin with `start`, or None if it is unknown."""
    return next((kind for magic, kind in OTHER_ARCHIVES.items() if start.startswith(magic)), None)


# Some of these formats are supported; they are listed so that files with a damaged header are identified, too.
OTHER_IMAGES = {
    b"\0\0\1\0": "an ICO file",
    b"\0\0\2\0": "a CUR file",
    b"DDS ": "a DDS file",
    b"8BPS": "a Photoshop file (PSD)",
    b"icns": "an ICNS file",
    b"\x76\x2f\x31\x01": "an OpenEXR file",
    b"#?RADIANCE": "a Radiance HDR file",
    b"\xff\x0a": "a JPEG XL file",
    b"\0\0\0\x0cJXL ": "a JPEG XL file",
    b"SIMPLE  =": "a FITS file",
    b"gimp xcf": "a GIMP file (XCF)",
    b"FORM": "an IFF file",
    b"qoif": "a QOI file",
    b"%PDF": "a PDF file",
    b"%!PS": "a PostScript file (EPS)",
    b"\xc5\xd0\xd3\xc6": "a PostScript file (EPS)",
    b"\xd7\xcd\xc6\x9a": "a WMF file",
    b"BLP1": "a BLP file",
    b"BLP2": "a BLP file",
    b"DanM": "an MSP file",
    b"LinS": "an MSP file",
    b"\xb1\x68\xde\x3a": "a DCX file",
    b"FTC\0": "an FTEX file",
    b"FTU\0": "an FTEX file",
    b"\x59\xa6\x6a\x95": "a Sun raster file",
    b"\x80\xe8\0\0": "a PIXAR file",
    b"#define ": "an XBM file",
    b"/* XPM */": "an XPM file",
    b"Image type:": "an IM file",
    b"\x28\0\0\0": "a DIB file",
    b"GRIB": "a GRIB file",
    b"BUFR": "a BUFR file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
}
# The brand that follows the length and `ftyp` in files of the ISO base media format.
BRANDS = {
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"M4V ", b"avc1"), "an MP4 file"),
    **dict.fromkeys((b"qt  ",), "a QuickTime file"),
    **dict.fromkeys((b"crx ",), "a raw file of Canon (CR3)"),
}
TGA_FOOTER = b"TRUEVISION-XFILE.\0"


def image_kind_of(raw: bytes) -> str | None:
    """Return the unsupported image format of the bytes `raw`, or None if it is unknown."""
    if raw[4:8] == b"ftyp":
        return BRANDS.get(raw[8:12])
    if raw.endswith(TGA_FOOTER):
        return "a TGA file"
    if b"<svg" in raw[:1024]:
        return "an SVG file"
    return next((kind for magic, kind in OTHER_IMAGES.items() if raw.startswith(magic)), None)
