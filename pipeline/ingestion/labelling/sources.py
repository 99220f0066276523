"""Sources, the names of images in messages and tables: a path in data/raw, and the member's name in an archive."""

from pipeline.ingestion.unpacking.archive_names import is_archive

# Separates an archive's path from a member's name, as in JAR URLs.
MEMBER = "!/"


def source_of(path: str, member: str | None) -> str:
    """Return the source of `member` of the archive `path`, or of the file `path` if `member` is None."""
    return f"{path}{MEMBER}{member}" if member else path


def place_of(source: str) -> tuple[str, str | None]:
    """Return the path and the member of `source`; the first part with an archive's suffix is the archive."""
    parts = source.split(MEMBER)
    for count in range(1, len(parts)):
        archive, member = MEMBER.join(parts[:count]), MEMBER.join(parts[count:])
        if is_archive(archive):
            return archive, member
    return source, None
