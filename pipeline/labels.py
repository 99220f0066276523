"""Which class an image belongs to: the first folder below data/raw, archives being seen through.

`cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
"""

from unicodedata import normalize

# Between an archive's path and the name of a member, as in JAR addresses.
MEMBER = "!/"
SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", ".gitignore", ".gitkeep", ".dvcignore"}


def source_of(path: str, member: str | None) -> str:
    """How an image is named to people: its file in data/raw, with the member's name if that is an archive."""
    return f"{path}{MEMBER}{member}" if member else path


def label_of(path: str, member: str | None) -> str | None:
    """The class of an image, or None where it lies outside any class folder."""
    folder, _, _ = path.rpartition("/")
    seen_through = path if member is None else f"{folder}/{member}".removeprefix("/")
    label, slash, _ = seen_through.removeprefix("./").partition("/")
    # The same name comes in two spellings: macOS writes é as two characters.
    return normalize("NFC", label) if slash else None


def is_system_file(name: str) -> bool:
    """Whether an operating system has left the file `name` (of any folder) behind."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
