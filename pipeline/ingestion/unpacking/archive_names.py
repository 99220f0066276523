"""Recognises archives by their file names."""

SUFFIXES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"),
    ".exe",  # A self-extracting archive: a program with a zip appended.
)
# Archive formats that are not supported: they are reported, not opened.
OTHER_SUFFIXES = {
    ".7z": "a 7z archive",
    ".rar": "a RAR archive",
    ".zst": "a Zstandard archive",
    ".lz4": "an LZ4 archive",
    ".lzma": "an LZMA archive",
    ".cab": "a cabinet archive",
    ".lzh": "an LZH archive",
}


def is_archive(name: str) -> bool:
    """Whether the file name has the suffix of a supported archive format."""
    return name.lower().endswith(SUFFIXES)


def other_archive(name: str) -> str | None:
    """Return the unsupported archive format that the file name indicates, or None."""
    lower = name.lower()
    return next((kind for suffix, kind in OTHER_SUFFIXES.items() if lower.endswith(suffix)), None)
