"""The model that is served: that of data/model, until a newer one there is accepted."""

from pathlib import Path

from pipeline import paths
from pipeline.commands.serve.model import Model, load_model
from pipeline.errors import ServingError, TreeringError, one_line
from pipeline.evaluation.inference import require
from pipeline.lineage.acceptance import read_judgements, refused_models
from pipeline.lineage.lineage import RECORDED, read_lineage, read_recorded
from pipeline.text import short
from pipeline.versioning import hashing

# What of a file changes when it does.
Marks = dict[Path, tuple[int, int, int]]


class Current:
    """What is served now, of the folder `folder`.

    Raises:
        TreeringError: there is no model, it is damaged, or data/model and not accepted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = self._handled = self._marks()
        require(folder)
        self.model = self._load()
        self.waiting = ""
        """Why what is in the folder now is not what is served; else empty."""

    def look(self) -> str:
        """Take what is in the folder now, once it has settled and is accepted; returns what became of it, if anything.

        Reads, and may load, so that it takes a while; whoever has `model` keeps it.
        """
        marks = self._marks()
        has_settled, self._before = marks == self._before, marks
        if not has_settled or marks == self._handled:
            return ""
        self._handled = marks
        try:
            require(self.folder)
            if hashing.directory_hash(self.folder) == self.model.hash:
                self.waiting = ""
                return ""
            self.model = self._load()
        except TreeringError as error:
            self.waiting = one_line(error)
            return f"still serving {short(self.model.hash)}: {self.waiting}"
        self.waiting = ""
        return f"now serving {short(self.model.hash)}, generation {self.model.lineage.generation}"

    def _load(self) -> Model:
        oid = hashing.directory_hash(self.folder) or ""
        if self.folder == paths.MODEL:
            _check_accepted(oid)
        model = load_model(self.folder)
        if model.hash != oid:
            raise ServingError(self.folder, "changes while it is read", "wait for `dvc repro` to end")
        return model

    def _marks(self) -> Marks:
        """Of all files that decide."""
        files = [*sorted(self.folder.glob("*")), RECORDED, paths.ACCEPTED]
        marks: Marks = {}
        for file in files:
            try:
                stat = file.stat()
            except OSError:  # It comes and goes.
                continue
            marks[file] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return marks


def _check_accepted(oid: str) -> None:
    """See that the model of data/model, whose hash is `oid`, may be served.

    Raises:
        ServingError: the gate, or people, refused it.
        RecordError: nobody has judged it yet.
    """
    if oid not in refused_models(oid, has_base=read_lineage(paths.MODEL).base is not None):
        return
    judgement, recorded = read_judgements().get(oid), read_recorded()
    why = judgement.why if judgement else recorded.verdict if recorded else ""
    hint = f"run `pipeline accept --why TEXT` to overrule that, or serve what it started from by --model {paths.BASE}"
    raise ServingError(paths.MODEL, f"{short(oid)} is not accepted ({why})", hint)
