"""Facts of a training that trackers log before it begins: its generation, all params, hashes and the environment."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.params import Params
from pipeline.training.environment import environment
from pipeline.training.generation import Generation
from pipeline.training.progress import deps_of_training
from pipeline.training.trackers.runs import Fact, Facts
from pipeline.versioning import hashing
from pipeline.versioning.definition import CODE, flat


def facts_of(generation: Generation, params: Params, inputs: str) -> Facts:
    """Return the facts, by name, of the training of `generation`, whose inputs have the hash `inputs`."""
    lineage = generation.lineage
    return {
        "generation": lineage.generation,
        "start": lineage.start,
        "reason": lineage.reason,
        "base": lineage.base or "none",
        "classes": len(generation.spec.classes),
        "steps": lineage.steps.run,
        "steps.before": generation.steps_before,
        **{f"images.{name}": count for name, count in lineage.images.model_dump().items()},
        "inputs": inputs,
        **_hashes(),
        **{f"environment.{name}": value for name, value in environment(params).items()},
        **{name: _plain(value) for name, value in flat(params.model_dump(mode="json")).items()},
    }


def _hashes() -> Facts:
    """Return the hashes of the stage `train`'s dependencies, without code, and of data/raw, as in dvc.lock."""
    hashes = {path: hashing.path_hash(Path(path)) for path in deps_of_training() if not path.startswith(CODE)}
    with suppress(OSError):
        hashes[str(paths.RAW)] = paths.RAW_HASH.read_text(encoding="utf-8").strip()
    return {f"md5.{path}": md5 for path, md5 in hashes.items() if md5}


def _plain(value: Any) -> Fact:
    if value is None:
        return "null"
    return value if isinstance(value, str | int | float) else str(value)
