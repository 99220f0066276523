"""Errors. Every message is one line: the place, the problem, and a hint how to fix it.

TreeringError
├── ParamError        a value in params.yaml is invalid or cannot be used
├── RecordError       dvc.lock, data/raw.dvc or Git lacks a fact, or cannot be read
├── MissingDataError  data that is recorded is in neither workspace, cache nor remote
├── MergeError        two sides of a merge conflict
├── ImagesError       the images cannot be used: none, too few, too many refused
├── CheckpointError   a checkpoint is damaged, or does not fit its use
├── TrainingError     training cannot continue
├── ClusterError      a cluster cannot be reached, or lacks resources
├── ExportError       a model cannot be exported, or the export differs from the model
└── ServingError      a model cannot be served
"""

# A hint that several errors share.
COLD = "run `pipeline fresh` to train from scratch"


class TreeringError(Exception):
    """An error that the user can fix: `where` it is, `what` is wrong, and a `hint` how to fix it."""

    def __init__(self, where: object, what: str, hint: str) -> None:
        super().__init__(where, what, hint)  # All arguments, so that it can be pickled between processes.

    def __str__(self) -> str:
        return "{}: {}; {}".format(*self.args)


def one_line(error: BaseException) -> str:
    """Return the message of `error` without line breaks, or its class name if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


class ParamError(TreeringError):
    """A value in params.yaml is invalid or cannot be used."""


class RecordError(TreeringError):
    """dvc.lock, data/raw.dvc or Git lacks a fact, or cannot be read."""


class MissingDataError(TreeringError):
    """Data that is recorded is in neither workspace, cache nor remote."""


class MergeError(TreeringError):
    """Two sides of a merge conflict."""


class ImagesError(TreeringError):
    """The images cannot be used."""


class CheckpointError(TreeringError):
    """A checkpoint is damaged, or does not fit its use."""


class TrainingError(TreeringError):
    """Training cannot continue."""


class ClusterError(TreeringError):
    """A cluster cannot be reached, or lacks resources."""


class ExportError(TreeringError):
    """A model cannot be exported, or the export differs from the model."""


class ServingError(TreeringError):
    """A model cannot be served."""
