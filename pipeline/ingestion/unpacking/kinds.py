"""Names of common kinds of files that are not read, archives and images, by their first bytes."""

ZSTANDARD = b"\x28\xb5\x2f\xfd"
# What programs of Windows begin with.
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
    """Which archive that is not read begins with the bytes `start`, None where that is not known."""
    return next((kind for magic, kind in OTHER_ARCHIVES.items() if start.startswith(magic)), None)


OTHER_IMAGES = {
    b"\0\0\1\0": "ICO",
    b"\0\0\2\0": "CUR",
    b"DDS ": "DDS",
    b"8BPS": "Photoshop (PSD)",
    b"icns": "ICNS",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"SIMPLE  =": "FITS",
    b"gimp xcf": "GIMP (XCF)",
    b"FORM": "IFF",
    b"qoif": "QOI",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\xd7\xcd\xc6\x9a": "WMF",
}
# What stands after the length and `ftyp` of files in ISO's base media format.
BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"M4V ", b"avc1"), "MP4"),
    **dict.fromkeys((b"qt  ",), "QuickTime"),
    **dict.fromkeys((b"crx ",), "Canon raw (CR3)"),
}
TGA_FOOTER, DICOM = b"TRUEVISION-XFILE.\0", (128, b"DICM")


def image_kind_of(raw: bytes) -> str | None:
    """Which image format that is not read the bytes `raw` are in, None where that is not known."""
    if raw[4:8] == b"ftyp":
        return BRANDS.get(raw[8:12])
    if raw.endswith(TGA_FOOTER):
        return "TGA"
    offset, mark = DICOM
    if raw[offset : offset + len(mark)] == mark:
        return "DICOM"
    if b"<svg" in raw[:1024]:
        return "SVG"
    return next((kind for magic, kind in OTHER_IMAGES.items() if raw.startswith(magic)), None)
