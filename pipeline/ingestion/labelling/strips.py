"""`ingest.strip`: how many folders lie above the class folders, by archive or glob."""

from collections.abc import Mapping

from pipeline.ingestion.labelling.globs import Globs


class Strips:
    """The entries of `ingest.strip`; a name overrides a glob, and a later glob overrides an earlier one."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts
        self._patterns = list(counts)
        self._globs = Globs((pattern, number) for number, pattern in enumerate(self._patterns))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def of(self, path: str) -> int | None:
        """Return how many folders to skip above the class folder for images in the file `path`; None if not set."""
        if not self._counts or path in self._counts:
            return self._counts.get(path)
        matching = self._globs.matching(path)
        return self._counts[self._patterns[matching[-1]]] if matching else None
