"""Stage 3: train one generation, from data/manifest/{train,val}.csv and data/base to data/model and data/curves.

Run by `dvc repro`, or separately as `pipeline run train`. The same manifests, base and params give the same bytes.
"""

import math
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import torch

from pipeline import paths
from pipeline.errors import ParamError
from pipeline.files import put_directory
from pipeline.images.dataset import Dataset, load, read_manifest, uneven_weights
from pipeline.lineage import base
from pipeline.lineage.lineage import Weights, write_lineage
from pipeline.lineage.seen_images import write_seen
from pipeline.models.checkpoint import CHECKPOINT, RESPONSE, network_of, respond
from pipeline.models.compiling import compile_network
from pipeline.models.device import use_fast_layout
from pipeline.models.layers import freeze_layers
from pipeline.models.network import Network
from pipeline.models.pretrained import Loaded, begin, keep_published
from pipeline.params import Params
from pipeline.result import Result
from pipeline.text import counted, percent
from pipeline.train_params import Train
from pipeline.training.callbacks import AveragedWeights, HeadFirst, MeanWeights, SaveProgress, finished
from pipeline.training.curve_recording import RecordCurves
from pipeline.training.curves import ACCURACY, Curves, read_curves, show_curves, write_curves
from pipeline.training.environment import write_environment
from pipeline.training.feeding.loader import EvalLoader, TrainLoader, sample
from pipeline.training.feeding.sources import sources_of
from pipeline.training.generation import Generation, plan
from pipeline.training.handover import handed_over
from pipeline.training.log_lines import display
from pipeline.training.module import Classifier
from pipeline.training.optimizers import Schedule, becomes_mean, histories, schedule_of
from pipeline.training.processes.joining import check_inputs, hand_out, is_first_process, is_in_torchrun, joined, spread
from pipeline.training.progress import FOLDER, Progress, deps_of_training, inputs_hash
from pipeline.training.trackers.tracking import Tracking, tracked
from pipeline.training.trainer import prepare, trainer_of
from pipeline.training.warm_start import rows_of_new_classes, warm_start

# Most images on which normalisation statistics are estimated; more images improved no model.
STATISTICS = 512


class FinishedRun(NamedTuple):
    """The result of a training in this process."""

    trainer: pl.Trainer
    """Trainer that can save the checkpoint."""
    curves: Curves
    begun: int
    """The step at which this run began or resumed, counted over all generations."""
    weights: Loaded | None
    """The initial weights, if loaded from a file or published; None if random or from the base."""


def train(params: Params) -> Result | None:
    """Train the next generation into data/model; returns the result, or None if another process reports it."""
    if params.compute.launcher != "none" and not is_in_torchrun():
        from pipeline.training.processes.launching import launch

        launch(params)
        return None
    with joined(params):
        return _train(params)


def _train(params: Params) -> Result | None:
    if base.restore():
        say(f"restored {paths.BASE} as recorded in dvc.lock")
    manifest = read_manifest("train")
    generation = plan(params, manifest.set_index("id")["label"], uneven_weights(manifest))
    say(f"{generation}")
    progress = Progress(inputs_hash(params, deps_of_training()))
    check_inputs(progress.inputs)
    validation = read_manifest("val")
    known = validation["label"].isin(generation.spec.classes)  # A new class may have no training image yet.
    spec = generation.spec
    training, measured_on = (
        load(one, mode=spec.mode, size=spec.source, framing=spec.framing, compute=params.compute)
        for one in (manifest, validation[known])
    )
    del manifest, validation  # Free memory early: about 100 bytes of text per image.
    try:
        # Processes that train together share the progress that the first one has fetched.
        with handed_over(params.compute.progress, progress, say) if is_first_process() else nullcontext():
            return fit(generation, training, measured_on, params, progress)
    except BaseException:
        shutil.rmtree(paths.CURVES, ignore_errors=True)  # Of a failed training; DVC's cache has the last model's.
        raise


def fit(
    generation: Generation, training: Dataset, validation: Dataset, params: Params, progress: Progress
) -> Result | None:
    """Train `generation` into data/model, or resume it from `progress`; returns the result as `train` does."""
    prepare(params)
    with tracked(generation, params, progress, say) as tracking:
        run = _fit(generation, (training, validation), params, progress, tracking)
        last = progress.folder / "last"
        run.trainer.save_checkpoint(last)
        result = _finish(run, last, generation, params) if run.trainer.is_global_zero else None
        hand_out(paths.MODEL, paths.CURVES, paths.ENVIRONMENT)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return result


def _finish(run: FinishedRun, last: Path, generation: Generation, params: Params) -> Result:
    """Write data/model from the finished `run`, whose checkpoint is the file `last`."""
    trainer, curves, begun, weights = run
    new = last.with_name("model")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    model = finished(torch.load(last, map_location="cpu", weights_only=True), generation.rounds.draws.end)
    response = respond(network_of(model, new), generation.spec)
    torch.save({**model, RESPONSE: response}, new / CHECKPOINT)
    accuracy = trainer.callback_metrics.get(ACCURACY)  # None without validation images.
    right = None if accuracy is None else float(accuracy)
    origin = weights and Weights(source=weights.source, md5=weights.md5, fit=str(weights.fit))
    lineage = generation.lineage.model_copy(update={"validation": right, "weights": origin})
    write_lineage(lineage, new)
    keep_published(last.parent, new)
    write_seen(generation.seen, new)
    write_curves(curves, new)
    put_directory(new, paths.MODEL)
    show_curves(curves, paths.CURVES)
    write_environment(params)
    measured = "no validation images" if right is None else f"validation accuracy {percent(right)}"
    said = f"{counted(lineage.steps.run, 'step')} ({lineage.steps.total:,} in total), {measured}"
    return Result(said, trainer.global_step - begun)


def _fit(
    generation: Generation, images: tuple[Dataset, Dataset], params: Params, progress: Progress, tracking: Tracking
) -> FinishedRun:
    """Train `generation` on the first of `images`, and validate it on the second."""
    training, validation = images
    spec, classes = generation.spec, list(generation.spec.classes)
    network, weights = _untrained(generation, params.train, progress.folder)
    schedule = _schedule(generation, params.train)
    curves = read_curves(paths.BASE) if generation.base else Curves()
    callbacks: list[pl.Callback] = [
        *_head_first(network, schedule),
        *_averaging(generation, network, training, params.train),
        RecordCurves(curves, schedule, steps_before=generation.steps_before),
        *tracking.callbacks(curves),
        SaveProgress(progress, every=params.train.save_every),
        display(schedule.steps, before=generation.steps_before, say=say),
    ]
    rounds = generation.rounds
    trainer = trainer_of(params, callbacks, rounds=rounds.before + rounds.length.rounds, folder=progress.folder)
    where = trainer.strategy.root_device
    use_fast_layout(network, where)
    drawn, measured = sources_of(network, spec, images, params, where)
    loader = TrainLoader(training, classes, params.train, rounds, drawn)
    classifier = Classifier(network, spec, params.train, schedule, loader.images_of_classes(len(classes)))
    saved = spread(progress.newest())
    begun = generation.steps_before if saved is None else progress.step_of(saved)
    if saved is not None:
        say(f"continuing at step {begun - generation.steps_before:,} of {schedule.steps:,}")
    trainer.fit(
        classifier,
        loader,
        EvalLoader(validation, classes, batch_size=params.compute.batch_size, source=measured)
        if len(validation)
        else None,
        ckpt_path=saved or _saved_start(generation, classifier, params.train, training, trainer),
        weights_only=True,
    )
    classifier.check()
    assert trainer.global_step == generation.lineage.steps.total, "Lightning trained for another number of steps"
    return FinishedRun(trainer, curves, begun, weights)


def _untrained(generation: Generation, params: Train, folder: Path) -> tuple[Network, Loaded | None]:
    """Return the network of `generation` with random or pretrained weights; layers are frozen and it is compiled."""
    pl.seed_everything(params.seed, verbose=False)
    if generation.base is None and params.unpublished:
        hint = "set it to false, or to a file in data/weights; or choose a timm model, such as timm/resnet18"
        raise ParamError(paths.PARAMS, params.unpublished, hint)
    network, weights = begin(generation.spec, params.pretrained if generation.base is None else False, folder)
    if weights is not None:
        say(f"{weights}")
    if frozen := freeze_layers(network, params.freeze):
        if generation.base is None and weights is None:
            what = f"train.freeze is {params.freeze}, and training begins from scratch: nothing has been learned yet"
            raise ParamError(paths.PARAMS, what, "set it to none for the first training, or set train.pretrained")
        say(frozen)
    if params.compile:
        compile_network(network, deterministic=params.deterministic)
    # Nothing reads uninitialised memory, and filling it takes about 5 % of the time on CPUs.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return network, weights


def _schedule(generation: Generation, params: Train) -> Schedule:
    """Return the learning-rate schedule of `generation`."""
    steps, base = generation.lineage.steps.run, generation.base
    if base is None:
        return schedule_of(params, steps, warm=False)
    return schedule_of(params, steps, warm=True)._replace(known=histories(base["optimizer_states"][0]))


def _head_first(network: Network, schedule: Schedule) -> list[pl.Callback]:
    """Return the callback that first trains only the head of `network`, if `schedule` has such steps."""
    if not schedule.alone:
        return []
    say(f"the head trains alone for {counted(schedule.alone, 'step')}")
    frozen = [name for name, weight in network.named_parameters() if not weight.requires_grad]
    return [HeadFirst(network, frozen=frozen, steps=schedule.alone)]


def _averaging(generation: Generation, network: Network, training: Dataset, params: Train) -> list[pl.Callback]:
    """Return the callback that averages the weights of several steps into the model, if the params ask for it."""
    if params.optimizer == "schedule_free":
        size = math.ceil(params.batch_size / params.accumulate)
        shown = partial(sample, training, count=STATISTICS, batch_size=size, seed=params.seed)
        return [AveragedWeights(network, shown)]
    if generation.base and becomes_mean(params):
        return [MeanWeights(first=generation.steps_before + _schedule(generation, params).rise)]
    return []


def _saved_start(
    generation: Generation, classifier: Classifier, params: Train, training: Dataset, trainer: pl.Trainer
) -> Path | None:
    """Write the checkpoint from which Lightning begins a warm start, and return its path; None for a cold start."""
    if generation.base is None:
        return None
    path = Path(trainer.default_root_dir) / "start"
    if is_first_process():
        rows = rows_of_new_classes(generation, training, params.seed, trainer.strategy.root_device)
        torch.save(warm_start(generation.base, classifier, params, generation.changes, rows), path)
    return spread(path)


def say(what: str) -> None:
    """Print `what` for the user; of several training processes only the first one prints."""
    if is_first_process():
        print(f"train: {what}", flush=True)
