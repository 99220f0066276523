"""`pipeline fresh`: make the next training, and only that one, start from scratch."""

import argparse
from io import StringIO

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.text import short


def register(command: Register) -> None:
    """Add `pipeline fresh`."""
    command(_fresh, "let the next training start from scratch, once")


def _fresh(args: argparse.Namespace) -> int:
    from pipeline.lineage.base import MODEL
    from pipeline.versioning.lock import read_record

    del args
    train = read_record().get("train")
    if train is None:
        raise RecordError(paths.LOCK, "records no training", "run `dvc repro`, which starts from scratch")
    model = train.outs[MODEL]
    _write_param("manifest", "cold_after", model)
    print(f"the training after {short(model)} starts from scratch; the ones after that are warm starts again")
    print(f"next: dvc repro && git add {paths.PARAMS} {paths.LOCK} data/report && git commit")
    return 0


def _write_param(section: str, name: str, value: str) -> None:
    """Set a parameter in params.yaml; its comments and all other content are preserved."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 2**16
    content = yaml.load(paths.PARAMS)
    content[section][name] = value
    out = StringIO()
    yaml.dump(content, out)
    write_text(paths.PARAMS, out.getvalue())
