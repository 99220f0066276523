"""`pipeline run STAGE`: the command of each stage in dvc.yaml."""

import argparse
from importlib import import_module

from pipeline.commands.parsing import Register

STAGES = ("listing", "ingest", "manifest", "train", "evaluate")


def register(command: Register) -> None:
    """Add `pipeline run`."""
    sub = command(_run, "run one stage, as `dvc repro` does")
    sub.add_argument("stage", choices=STAGES, help="its name in dvc.yaml")


def _run(args: argparse.Namespace) -> int:
    from pipeline.commands.runner import run_stage

    module = import_module(f"pipeline.{args.stage}")
    return run_stage(args.stage, getattr(module, args.stage))
