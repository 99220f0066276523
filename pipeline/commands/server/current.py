"""The served model, and its replacement when the folder contains a newer model that may be served."""

from pathlib import Path

from pipeline import paths
from pipeline.commands.serve.model import Model, load_model
from pipeline.errors import ServingError, TreeringError, one_line
from pipeline.evaluation.inference import require
from pipeline.lineage.acceptance import read_judgements, refused_models
from pipeline.lineage.lineage import RECORDED, read_lineage, read_recorded
from pipeline.text import short
from pipeline.versioning import hashing

# Time of modification, size and inode of each file: a changed file differs in one of them.
Marks = dict[Path, tuple[int, int, int]]


class Current:
    """The model of `folder` that is served now.

    Raises:
        TreeringError: there is no model, it is damaged, or it is the one of data/model and is not accepted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = self._handled = self._marks()
        require(folder)
        self.model = self._load()
        self.waiting = ""
        """Why the folder's model is not served; empty if it is."""

    def look(self) -> str:
        """Load a new model of the folder once its files have settled and it is accepted; return a message if any.

        This may take a while, since it reads files and may load a model. Requests under way keep the old model.
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
        """Return the marks of all files that decide which model is served."""
        files = [*sorted(self.folder.glob("*")), RECORDED, paths.ACCEPTED]
        marks: Marks = {}
        for file in files:
            try:
                stat = file.stat()
            except OSError:  # The file may be removed at any time.
                continue
            marks[file] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return marks


def _check_accepted(oid: str) -> None:
    """Check that the model of data/model, whose hash is `oid`, may be served.

    Raises:
        ServingError: the gate or a user refused the model.
        RecordError: the model has no verdict yet.
    """
    if oid not in refused_models(oid, has_base=read_lineage(paths.MODEL).base is not None):
        return
    judgement, recorded = read_judgements().get(oid), read_recorded()
    why = judgement.why if judgement else recorded.verdict if recorded else ""
    hint = f"run `pipeline accept --why TEXT` to overrule that, or serve what it started from by --model {paths.BASE}"
    raise ServingError(paths.MODEL, f"{short(oid)} is not accepted ({why})", hint)
