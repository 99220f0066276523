"""Retrain a recorded generation from its recorded base, data, params and code, and compare the resulting models."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.commands import subprocesses
from pipeline.commands.history.checkouts import bring, checked_out, edited, inputs, recorded_in, tell_no_tracker
from pipeline.commands.history.comparison import Difference, changes, differences
from pipeline.errors import CheckpointError, MissingDataError, RecordError, TrainingError, TreeringError
from pipeline.images.index import INDEX
from pipeline.images.shard_files import named_shards
from pipeline.lineage.forgotten import Forgotten
from pipeline.lineage.history import PUSH_ALL, Training, generations, trainings
from pipeline.models.pretrained import PUBLISHED
from pipeline.signals import stoppable
from pipeline.text import counted
from pipeline.versioning import fetching, hashing
from pipeline.versioning.lock import StageRecord, read_yaml

MODEL, ENVIRONMENT = paths.MODEL.as_posix(), paths.ENVIRONMENT.as_posix()
BEFORE = "it was recorded before there was such a file"
# Characters that require a shell to run a command.
SHELL = set("|&;<>()$`*?~#\n")
EnvironmentFacts = Mapping[str, Any]


class Replayed(NamedTuple):
    """The outcome of retraining a generation."""

    training: Training
    reproduced: bool = False
    """Whether data/model has the recorded hash."""
    differences: Mapping[str, Difference] = {}
    """The differences between the models, by part."""
    environment: str = ""
    """How the present environment differs from the recorded one, or why that is unknown; empty if not retrained."""
    trouble: str = ""
    """Why the generation was not retrained, or what else differs."""
    forgotten: bool = False
    """Whether `pipeline forget` has deleted data that the generation was trained from."""

    def __str__(self) -> str:
        """Describe the outcome in one line."""
        name = self.training.name
        if self.reproduced:
            though = f", though in {self.environment}" if self.environment.startswith("another") else ""
            return f"{name} reproduced, bit for bit{though}"
        if not self.environment:
            return f"{name} not replayed: {self.trouble}"
        parts = [f"{part} ({difference})" for part, difference in self.differences.items()]
        return f"{name} differs: {'; '.join([*parts, *filter(None, [self.trouble]), self.environment])}"

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for JSON."""
        parts = {part: difference._asdict() for part, difference in self.differences.items()}
        return {**self._asdict(), "training": self.training.as_json(), "differences": parts, "said": str(self)}


def newest(revision: str) -> Training:
    """Return the newest training that `revision` records, as of the commit that first recorded it.

    Raises:
        RecordError: `revision` records no training.
    """
    told = trainings(revision)
    if not told:
        raise RecordError(revision, "records no training", "run `dvc repro`, then `git commit`")
    return next(one for one in generations(revision) if one.recorded.model == told[0].recorded.model)


def replay_all(revision: str, *, stdout: int | None = None) -> Iterator[Replayed]:
    """Replay every generation that `revision` records, oldest first; a failed replay does not stop the others."""
    for training in generations(revision):
        try:
            yield replay(training, stdout=stdout)
        except TreeringError as error:
            yield Replayed(training, trouble=str(error))


def replay(training: Training, *, stdout: int | None = None) -> Replayed:
    """Retrain a generation in a temporary folder; `stdout` is the file descriptor for its output, if any.

    Raises:
        MissingDataError: data that it was trained from cannot be found.
        RecordError: the commit does not contain the files and params that the model was trained with.
        TrainingError: training failed.
    """
    with stoppable(), checked_out(training.commit) as folder:
        record = recorded_in(folder, training.name)
        if forgotten := _forgotten(training, record):
            return Replayed(training, trouble=f"forgotten: {forgotten}", forgotten=True)
        _check(training, record, edited(folder, record, training.name))
        bring(record, folder, training.name)
        _fetch_published(record["train"], training.name)
        then = _recorded_environment(record["train"], training.name)
        _start_as_many(folder, then, training.name)
        tell_no_tracker(folder)
        _train(folder, then, training.name, stdout)
        environment = _compare_environments(then, folder / paths.ENVIRONMENT)
        if hashing.directory_hash(folder / paths.MODEL) == training.recorded.model:
            return Replayed(training, reproduced=True, environment=environment)
        return _differing(training, folder, environment)


def _forgotten(training: Training, record: Mapping[str, StageRecord]) -> str:
    """Describe the required data that `pipeline forget` has deleted; empty if there is none."""
    gone = Forgotten.read()
    if training.recorded.model in gone.models:
        return "it has seen an image that was deleted for good"
    listed: set[str] = set()
    if gone.hashes:
        with suppress(MissingDataError):  # Other missing data is reported when it is fetched.
            what = f"{paths.IMAGES} of {training.name}"
            oids = [oid for path, oid in inputs(record).items() if path == paths.IMAGES.as_posix()]
            listed = {md5 for oid in oids for md5 in fetching.fetch_listing(oid, what=what).values()}
            indexes = [fetching.fetch_member(oid, INDEX.name, what=what, hint=PUSH_ALL) for oid in oids]
            listed |= {file.md5 for path in indexes for file in named_shards(path).values()}
    return "" if gone.hashes.isdisjoint(listed) else "its shards contained an image that was deleted for good"


def _fetch_published(train: StageRecord, name: str) -> None:
    """Fetch the published weights that a model started from into DVC's cache, where training looks for them."""
    oid, what = train.outs[MODEL], f"{PUBLISHED} of {name}"
    if train.params.get("train.pretrained") is True and PUBLISHED in fetching.fetch_listing(oid, what=what):
        fetching.fetch_member(oid, PUBLISHED, what=what, hint=PUSH_ALL)


def _check(training: Training, record: Mapping[str, StageRecord], changed: list[str]) -> None:
    model = record["train"].outs[MODEL]
    if model != training.recorded.model:
        what = f"{paths.LOCK} records the model {model}, {paths.REPORT} the model {training.recorded.model}"
        raise RecordError(training.name, what, "commit all that `dvc repro` writes")
    if changed:
        what = f"its commit does not match the training in {paths.LOCK}: {', '.join(changed)}"
        raise RecordError(training.name, what, "run `dvc repro` before `git commit`, and replay what comes out")


def package_in(folder: Path, env: Mapping[str, str]) -> Path | None:
    """Return the file that Python, run in `folder`, imports as the package `pipeline`; None if there is none."""
    # Written as bytes, since Python cannot print every path.
    say = [sys.executable, "-c", "import os, pipeline; os.write(1, os.fsencode(pipeline.__file__))"]
    found = subprocess.run(say, cwd=folder, env=env, capture_output=True, check=False).stdout  # noqa: S603
    return Path(os.fsdecode(found)) if found else None


def _start_as_many(folder: Path, then: EnvironmentFacts | str, name: str) -> None:
    """Edit the params in `folder` so that as many processes as recorded are started, all on this machine.

    A model depends on the number of processes, and on no other setting of `compute`.

    Raises:
        TrainingError: the model was trained on more GPUs than this machine has.
    """
    if isinstance(then, str) or "devices" not in then:
        return
    yaml, path, wanted = YAML(), folder / paths.PARAMS, int(then["devices"])
    params = yaml.load(path)
    compute = params.get("compute", {})
    started = compute.get("devices", 1) * compute.get("nodes", 1)
    if started == wanted and compute.get("nodes", 1) == 1:
        return
    if then.get("accelerator") not in ("cpu", "mps") and 0 < (has := _gpus()) < wanted:
        what = f"{wanted} GPUs trained it together, and this machine has {has}"
        raise TrainingError(name, what, f"replay it where there are {wanted}")
    here = f"{compute.get('nodes', 1)} × {compute.get('devices', 1)}"
    said = f"{counted(wanted, 'process', 'processes')} trained it together, compute says {here}: starting {wanted} here"
    print(f"{name}: {said}", file=sys.stderr, flush=True)
    compute.update({"devices": wanted, "nodes": 1, **({"launcher": "none"} if "launcher" in compute else {})})
    yaml.dump(params, path)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _train(folder: Path, then: EnvironmentFacts | str, name: str, stdout: int | None) -> None:
    """Run the training code in `folder` with the recorded number of threads."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONSAFEPATH", "MKL_NUM_THREADS")}
    if not isinstance(then, str) and "threads" in then:
        env["OMP_NUM_THREADS"] = str(then["threads"])
    found = package_in(folder, env)
    if found is None or not found.resolve().is_relative_to(folder):
        what = f"Python takes the package `pipeline` from {found or 'nowhere'}, not from the commit"
        raise TrainingError(name, what, "look at PYTHONPATH and at sitecustomize.py")
    status = subprocesses.run(recorded_command(folder / paths.PIPELINE), cwd=folder, env=env, stdout=stdout)
    if status or not (folder / paths.MODEL).is_dir():
        what = f"training ended with status {status}"
        raise TrainingError(name, what, "see above; the versions in requirements.txt of its commit may be needed")


def recorded_command(pipeline: Path) -> list[str]:
    """Return the training command in the file `pipeline`, a version of dvc.yaml, with `python` as this interpreter.

    Raises:
        RecordError: the file cannot be read, or has no training command.
    """
    try:
        command = str(read_yaml(pipeline)["stages"]["train"]["cmd"])
    except (LookupError, TypeError, OSError):
        raise RecordError(pipeline, "does not say how to train", "see the stage `train` in it") from None
    if set(command) & SHELL:
        return ["/bin/sh", "-c", command]
    program, *arguments = shlex.split(command)
    return [sys.executable if program == "python" else program, *arguments]


def _recorded_environment(train: StageRecord, name: str) -> EnvironmentFacts | str:
    """Return the recorded data/environment.json, or why it is unknown."""
    md5 = train.outs.get(ENVIRONMENT)
    if md5 is None:
        return BEFORE
    try:
        facts = json.loads(fetching.fetch_file(md5, what=f"{ENVIRONMENT} of {name}", hint=PUSH_ALL).read_bytes())
    except (MissingDataError, ValueError):
        return f"{ENVIRONMENT} cannot be found"
    return facts if isinstance(facts, dict) else f"{ENVIRONMENT} cannot be read"


def _compare_environments(then: EnvironmentFacts | str, now: Path) -> str:
    if isinstance(then, str):
        return f"its environment is unknown: {then}"
    found = changes(then, json.loads(now.read_bytes()) if now.exists() else {})
    return f"another environment: {', '.join(found)}" if found else "the same environment: this should not happen"


def _differing(training: Training, folder: Path, environment: str) -> Replayed:
    recorded = folder.with_name("recorded")
    try:
        what = f"{MODEL} of {training.name}"
        fetching.copy_directory(training.recorded.model, recorded, nearby=paths.MODEL, what=what, hint=PUSH_ALL)
        found = differences(recorded, folder / paths.MODEL)
    except (MissingDataError, CheckpointError) as error:
        return Replayed(training, environment=environment, trouble=f"the differences are unknown ({error})")
    trouble = "" if found else "the content is equal, but stored in different bytes"
    return Replayed(training, differences=found, environment=environment, trouble=trouble)
