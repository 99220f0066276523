"""Names of common kinds of files that are no images we read, by their first bytes."""

OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"LZIP": "an lzip archive",
    b"\x04\x22\x4d\x18": "an LZ4 archive",
    b"\x1f\x9d": "a compress (.Z) archive",
    b"MSCF": "a cabinet archive",
}
LONGEST = max(map(len, OTHER_ARCHIVES))


def kind_of(start: bytes) -> str | None:
    """Which archive that is not read begins with the bytes `start`, None where that is not known."""
    return next((kind for magic, kind in OTHER_ARCHIVES.items() if start.startswith(magic)), None)
