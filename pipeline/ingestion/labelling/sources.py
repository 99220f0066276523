"""How an image is named to people, its source: a file in data/raw, and its name there where that is an archive."""

from pipeline.ingestion.unpacking.archive_names import is_archive

# Between an archive's path and the name of a member, as in JAR addresses.
MEMBER = "!/"


def source_of(path: str, member: str | None) -> str:
    """The source of the image `member` of the archive `path`, or of the file `path` where it is None."""
    return f"{path}{MEMBER}{member}" if member else path


def place_of(source: str) -> tuple[str, str | None]:
    """The path and member that `source` names; the first part that is called like an archive is one."""
    parts = source.split(MEMBER)
    for count in range(1, len(parts)):
        archive, member = MEMBER.join(parts[:count]), MEMBER.join(parts[count:])
        if is_archive(archive):
            return archive, member
    return source, None
