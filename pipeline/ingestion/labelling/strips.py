"""How many folders lie above those that name classes: `ingest.strip` says it of archives, and of globs."""

from collections.abc import Mapping

from pipeline.ingestion.labelling.globs import Globs


class Strips:
    """`ingest.strip`; a name is stronger than a glob, and a later line than an earlier one."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts
        self._patterns = list(counts)
        self._globs = Globs((pattern, number) for number, pattern in enumerate(self._patterns))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def of(self, path: str) -> int | None:
        """How many folders are passed over on the way to an image in the file `path`; None where nothing says."""
        if not self._counts or path in self._counts:
            return self._counts.get(path)
        matching = self._globs.matching(path)
        return self._counts[self._patterns[matching[-1]]] if matching else None
