"""A training from scratch, once: `pipeline fresh`."""

import argparse

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.errors import RecordError
from pipeline.text import short


def register(command: Register) -> None:
    """Add this command."""
    command(_fresh, "let the next training start from scratch, once")


def _fresh(args: argparse.Namespace) -> int:
    from pipeline.lineage.base import MODEL
    from pipeline.params import write_param
    from pipeline.versioning.lock import read_record

    del args
    train = read_record().get("train")
    if train is None:
        raise RecordError(paths.LOCK, "records no training", "run `dvc repro`, which starts from scratch")
    model = train.outs[MODEL]
    write_param("manifest", "cold_after", model)
    print(f"the training after {short(model)} starts from scratch; the ones after that are warm starts again")
    print(f"next: dvc repro && git add {paths.PARAMS} {paths.LOCK} data/report && git commit")
    return 0
