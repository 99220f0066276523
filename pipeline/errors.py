"""What can go wrong. Every message is one line: where, what, and what to do about it.

TreeringError
├── ParamError        params.yaml asks for what cannot be done
├── RecordError       dvc.lock or data/raw.dvc lacks a fact, or cannot be read
├── MissingDataError  what dvc.lock records is in neither workspace, cache nor remote
├── MergeError        two sides of a merge do not agree
├── ImagesError       the images cannot be used: none, too few, too many refused
├── CheckpointError   a checkpoint is damaged, or does not fit what is asked of it
├── TrainingError     training cannot go on
├── ClusterError      a cluster cannot be reached, or lacks what the work needs
├── ExportError       a model cannot be exported, or what came of it is not the model
└── ServingError      a model cannot be served
"""

# A hint that several of them end in.
COLD = "run `pipeline fresh` to train from scratch"


class TreeringError(Exception):
    """Something that its reader can correct: `where` it is, `what` is wrong, and a `hint` how."""

    def __init__(self, where: object, what: str, hint: str) -> None:
        super().__init__(where, what, hint)  # All of them, so that it comes out of other processes, too.

    def __str__(self) -> str:
        return "{}: {}; {}".format(*self.args)


def one_line(error: BaseException) -> str:
    """What `error` says, whatever its author did with line breaks; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class ParamError(TreeringError):
    """params.yaml asks for what cannot be done."""


class RecordError(TreeringError):
    """dvc.lock or data/raw.dvc lacks a fact, or cannot be read."""


class MissingDataError(TreeringError):
    """What dvc.lock records is in neither workspace, cache nor remote."""


class MergeError(TreeringError):
    """Two sides of a merge do not agree."""


class ImagesError(TreeringError):
    """The images cannot be used."""


class CheckpointError(TreeringError):
    """A checkpoint is damaged, or does not fit what is asked of it."""


class TrainingError(TreeringError):
    """Training cannot go on."""


class ClusterError(TreeringError):
    """A cluster cannot be reached, or lacks what the work needs."""


class ExportError(TreeringError):
    """A model cannot be exported, or what came of it is not the model."""


class ServingError(TreeringError):
    """A model cannot be served."""
