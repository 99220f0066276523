"""Which files are archives, by their names."""

SUFFIXES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"),
    ".exe",  # A program that unpacks itself, with a zip at its end.
)
# What other archives are called; they are named to people, and not opened.
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
    """Whether the name of a file says that it is an archive that is looked into."""
    return name.lower().endswith(SUFFIXES)


def other_archive(name: str) -> str | None:
    """What kind of archive that is not read the name of a file says; None where it says no such thing."""
    lower = name.lower()
    return next((kind for suffix, kind in OTHER_SUFFIXES.items() if lower.endswith(suffix)), None)
