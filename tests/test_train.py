"""Training replaces the model as a whole, or keeps the old one."""

import json
import math
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from ruamel.yaml import YAML
from support.stored import Plain, store_images
from support.terminal import Terminal
from support.tiny import tiny_params
from support.weights_file import with_weights

from pipeline import paths
from pipeline.errors import CheckpointError, ImagesError, ParamError, TrainingError
from pipeline.files import md5_of_file
from pipeline.images.dataset import load, read_manifest
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import LINEAGE
from pipeline.lineage.seen_images import SEEN
from pipeline.models.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint, read_network
from pipeline.models.device import use_fast_layout
from pipeline.models.features import head_of, look
from pipeline.models.imprinting import imprint
from pipeline.models.network import Spec, build, small
from pipeline.models.normalisation import estimate_statistics
from pipeline.params import Params, read_params
from pipeline.training.curves import CURVE_NAMES, CURVES, read_curves

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]

TRAIN = [Plain("cat", shade) for shade in range(6)] + [Plain("dog", 200 + shade) for shade in range(6)]
VAL = [Plain("cat", 10), Plain("dog", 210)]
SAVING = "train: saving at the next step, then stopping"
INTERRUPTED = "train: interrupted; nothing is lost, `dvc repro` continues"


def params(**train: Any) -> Params:
    """Return tiny params, also written to params.yaml."""
    return tiny_params(train={"batch_size": 4, **with_weights(train)})


def run(**changes: Any) -> str:
    """Train with tiny params and `changes`, and return the stage's output."""
    from pipeline.train import train

    done = train(params(**changes))
    assert done is not None
    return done.summary


def files(folder: Path = paths.DATA) -> dict[str, bytes]:
    """Return every file in `folder`, by path."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put_model() -> dict[str, bytes]:
    """Create an existing model, and return the content of data/."""
    paths.MODEL.mkdir()
    for name in (CHECKPOINT, LINEAGE, SEEN, "more"):
        (paths.MODEL / name).write_text(f"old {name}")
    return files()


def outside_progress() -> dict[str, bytes]:
    """Return every file in data/ that is neither unfinished work nor removable at any time."""
    free = tuple(f"{folder}{os.sep}" for folder in (paths.PROGRESS, paths.DECODED))
    return {name: data for name, data in files().items() if not name.startswith(free)}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a project with images and no base the working directory; undo Lightning's global changes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store_images(train=TRAIN, val=VAL)
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    paths.BASE.mkdir()
    (paths.BASE / NONE).write_text(FIRST + "\n")
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def test_model_is_whole(capfd: pytest.CaptureFixture[str]) -> None:
    """A model has four files; apart from curves and environment nothing else is written or left."""
    before = files()
    said = run()
    new = {name: data for name, data in outside_progress().items() if name not in before}
    model = (paths.MODEL / name for name in (CHECKPOINT, LINEAGE, SEEN, CURVES))
    curves = (paths.CURVES / f"{name}.csv" for name in CURVE_NAMES)
    assert set(new) == {str(path) for path in (paths.ENVIRONMENT, *model, *curves)}
    assert {name: files()[name] for name in before} == before
    assert list(paths.PROGRESS.iterdir()) == []
    assert said.startswith("6 steps (6 in total), ")
    start = f"train: cold start ({FIRST}), generation 1, 12 new images, 6 steps (24 images, 2.0 epochs)\n"
    assert capfd.readouterr() == (start, "")
    network, spec = read_network(paths.MODEL)
    assert spec.classes == ("cat", "dog")
    assert all(torch.isfinite(weight).all() for weight in network.state_dict().values())


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
def test_validating_trains_nothing(optimizer: str) -> None:
    """Without validation images the weights and the optimizer's state are bit for bit the same."""

    def trained() -> Checkpoint:
        run(optimizer=optimizer)
        return read_checkpoint(paths.MODEL)

    measured = trained()
    store_images(train=TRAIN)
    alone = trained()
    assert all(torch.equal(measured["state_dict"][name], value) for name, value in alone["state_dict"].items())
    one, other = (checkpoint["optimizer_states"][0] for checkpoint in (measured, alone))
    assert one["param_groups"] == other["param_groups"]
    for number, state in other["state"].items():
        assert all(torch.equal(one["state"][number][key], value) for key, value in state.items())


def test_model_is_the_average() -> None:
    """The model's weights are x of y = lerp(x, z, 1 − β₁); z and the raw weights differ."""
    run()
    checkpoint = read_checkpoint(paths.MODEL)
    optimizer = checkpoint["optimizer_states"][0]
    assert {group["train_mode"] for group in optimizer["param_groups"]} == {False}
    for group in optimizer["param_groups"]:
        for name, number in zip(group["param_names"], group["params"], strict=True):
            assert not torch.equal(checkpoint["state_dict"][name], optimizer["state"][number]["z"]), name


def test_statistics_are_those_of_training_images() -> None:
    """Statistics estimated again from the model's weights, seed and ids equal the model's bit for bit."""
    from pipeline.train import STATISTICS
    from pipeline.training.feeding.loader import sample

    run()
    network, _ = read_network(paths.MODEL)
    use_fast_layout(network, torch.device("cpu"))  # As in training: at 8 pixels other memory layouts round differently.
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    data = load(read_manifest("train"), mode="grey", size=8, framing="fill", compute=read_params().compute)
    estimate_statistics(network, sample(data, count=STATISTICS, batch_size=4, seed=read_params().train.seed))
    assert all(torch.equal(expected[name], value) for name, value in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_network() -> None:
    """A compiled network learns the same from the same start, and can be loaded without compiling."""

    def weights(**changes: Any) -> torch.Tensor:
        run(**changes)
        network = read_network(paths.MODEL)[0]
        return torch.cat([weight.flatten() for weight in network.parameters()])

    # With a schedule, whose first steps are small: they follow the signs of gradients, and thus their last bits.
    start = weights(lr=1e-12)
    plain, compiled = (weights(optimizer="adamw", lr=4e-3, compile=one) - start for one in (False, True))
    assert torch.cosine_similarity(plain, compiled, dim=0) > 0.95


def test_auto_is_single_precision_on_a_cpu() -> None:
    """On a CPU `auto` is single precision: the model is the same bit for bit, and environment.json records it."""
    made = []
    for precision in ("auto", "32-true"):
        run(precision=precision)
        assert json.loads(paths.ENVIRONMENT.read_text())["precision"] == "32-true"
        made.append(files(paths.MODEL))
        shutil.rmtree(paths.MODEL)
    assert made[0] == made[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a machine without a GPU")
def test_number_format_that_is_not_there() -> None:
    """Half precision on a CPU is an error; Lightning would train in another format, in silence."""
    with pytest.raises(ParamError, match=r"'16-mixed', which CPUs do not support; set it to bf16-mixed or 32-true"):
        run(precision="16-mixed")
    assert not paths.MODEL.exists()


def test_old_model_makes_way(tmp_path: Path) -> None:
    """No file of the old model is left, and the new one does not depend on it."""
    run()
    once = files(paths.MODEL)
    shutil.rmtree(paths.MODEL)
    put_model()
    (paths.PROGRESS / "train" / "model").mkdir(parents=True)
    (paths.PROGRESS / "train" / "model" / "half").touch()
    run()
    assert files(paths.MODEL) == once
    assert list(paths.PROGRESS.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "dvc.yaml", "params.yaml"]


def test_no_validation_images() -> None:
    """Training works without validation images."""
    store_images(train=TRAIN)
    assert run().endswith(", no validation images")


def test_validation_class_without_training_images() -> None:
    """Validation images of a class without training images do not stop training, and do not count."""
    run()
    once = files(paths.MODEL)
    store_images(train=TRAIN, val=[*VAL, Plain("emu", 100)])
    said = run()
    assert read_network(paths.MODEL)[1].classes == ("cat", "dog")
    assert files(paths.MODEL) == once
    assert "validation accuracy" in said


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["body.0.weight", "body.8.bias", "body.1.running_var"])
def test_check_names_what_is_not_finite(name: str, value: float) -> None:
    """A single non-finite number, also in statistics of the normalisation, is found and named."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    spec = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
    classifier = Classifier(build(spec), spec, params().train, Schedule(steps=1, peak=0.1, rise=0), torch.ones(2))
    classifier.check()
    classifier.network.state_dict()[name].view(-1)[-1] = value
    with pytest.raises(TrainingError, match=rf"^step 0: weights in {name} are not finite; lower train\.lr"):
        classifier.check()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # The loss is checked in each epoch's first step, which is too early to detect it here.
        ({"lr": 1e37, "epochs": 1}, r"^step 3: weights in \S+ are not finite; lower train\.lr"),
        ({"lr": 1e37, "epochs": 2}, r"^epoch 1, batch 0: the loss is nan; lower train\.lr"),
    ],
    ids=["weights", "loss"],
)
def test_model_that_is_not_finite_is_refused(changes: dict[str, Any], said: str) -> None:
    """A diverged training is an error, and the old model is kept."""
    before = put_model()
    with pytest.raises(TrainingError, match=said) as raised:
        run(**changes)
    assert len(str(raised.value).splitlines()) == 1
    assert outside_progress() == before


def test_damaged_image_leaves_the_old_model() -> None:
    """An unreadable image is an error, and the old model is kept."""
    put_model()
    (shard,) = paths.SHARDS.glob("*.tar")
    data = bytearray(shard.read_bytes())
    data[520] ^= 1
    shard.write_bytes(data)
    before = files()
    with pytest.raises(ImagesError, match="is damaged"):
        run()
    assert outside_progress() == before


@pytest.mark.parametrize("step", ["save_checkpoint", "write_lineage", "write_seen", "write_curves", "put_directory"])
def test_failure_at_the_end_leaves_the_old_model(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """If any write of the new model fails, the old one is kept, and the next attempt succeeds."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = put_model()
    target = "lightning.pytorch.Trainer" if step == "save_checkpoint" else "pipeline.train"
    with monkeypatch.context() as patch:
        patch.setattr(f"{target}.{step}", full)
        with pytest.raises(OSError, match="No space left"):
            run(epochs=1)
    assert outside_progress() == before
    run(epochs=1)
    assert json.loads((paths.MODEL / LINEAGE).read_text())["epochs"] == {"run": 1, "total": 1}


def test_interruption_amid_a_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A signal during training ends the stage with one line and its status, and the old model is kept."""
    from pipeline.cli import main
    from pipeline.training.module import Classifier

    step = Classifier.training_step

    def interrupted(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", interrupted)
    params()
    before = put_model()
    assert main(["run", "train"]) == 130
    assert capsys.readouterr().err == f"{SAVING}\n{INTERRUPTED}\n"
    assert outside_progress() == before


def test_interrupted_program() -> None:
    """^C on a terminal with a progress bar gives one line, and restores the old model, which DVC had removed."""
    params(epochs=1_000_000)
    stage = {"cmd": "cp -r given data/model", "deps": [paths.PARAMS.name], "outs": [str(paths.MODEL)]}
    put_model()
    paths.MODEL.rename("given")
    YAML().dump({"stages": {"train": stage}}, Path("dvc.yaml"))
    for command in ("dvc init --quiet --no-scm", "dvc repro --quiet"):
        subprocess.run(command.split(), check=True)
    before, lock = outside_progress(), paths.LOCK.read_bytes()
    assert str(paths.MODEL / CHECKPOINT) in before
    YAML().dump({"stages": {"train": {**stage, "cmd": "python -m pipeline run train"}}}, paths.PIPELINE)
    with Terminal() as terminal:
        process = terminal.start("dvc", "repro", folder=Path())
        terminal.wait_for("training: ")
        assert not paths.MODEL.exists()
        os.killpg(process.pid, signal.SIGINT)  # As a terminal does.
        assert process.wait(60) != 0
        terminal.wait_for("failed to reproduce 'train'")  # With 130, or -2 if the shell that DVC starts is killed, too.
    assert INTERRUPTED in terminal.lines
    assert "Traceback" not in terminal.text
    assert outside_progress() == before
    assert paths.LOCK.read_bytes() == lock


def test_weights_of_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    """A cold start uses the weights of a file, and prints its MD5; the same bytes give the same model."""
    run()
    drawn = files(paths.MODEL)
    paths.WEIGHTS.mkdir()
    file = paths.WEIGHTS / "net.pt"
    shutil.copyfile(paths.MODEL / CHECKPOINT, file)
    capfd.readouterr()
    run(pretrained="net.pt")
    assert (
        f"train: begins with data/weights/net.pt ({md5_of_file(file)[:8]}…), 60 of 60 tensors" in capfd.readouterr().out
    )
    once = files(paths.MODEL)
    assert once[str(paths.MODEL / CHECKPOINT)] != drawn[str(paths.MODEL / CHECKPOINT)]
    weights = json.loads((paths.MODEL / LINEAGE).read_text())["weights"]
    fit = "60 of 60 tensors, rows of 2 of its classes"
    assert weights == {"source": "data/weights/net.pt", "md5": md5_of_file(file), "fit": fit}
    run(pretrained="net.pt")
    assert files(paths.MODEL) == once
    torch.save({"no": torch.ones(1)}, file)
    with pytest.raises(CheckpointError, match="does not fit small"):
        run(pretrained="net.pt")
    assert files(paths.MODEL) == once


def as_base() -> None:
    """Make the model the base of the next training."""
    shutil.rmtree(paths.BASE)
    paths.MODEL.rename(paths.BASE)


def test_weights_of_a_file_are_for_cold_starts() -> None:
    """A warm start ignores the file of weights; a cold start without the param does, too."""
    run()
    assert "weights" not in json.loads((paths.MODEL / LINEAGE).read_text())
    as_base()
    models = []
    for pretrained in (False, "none"):
        run(pretrained=pretrained)
        models.append(files(paths.MODEL))
    assert models[0] == models[1]


def test_new_class_starts_by_its_features() -> None:
    """A new class starts from its images' features and the base, independent of random numbers."""
    from pipeline.training.generation import plan
    from pipeline.training.warm_start import rows_of_new_classes

    run()
    as_base()
    store_images(train=[*TRAIN, *(Plain("emu", 100 + shade) for shade in range(4))], val=VAL)
    manifest = read_manifest("train")
    data = load(manifest, mode="grey", size=8, framing="fill", compute=read_params().compute)
    generation = plan(params(), manifest.set_index("id")["label"])
    state = torch.get_rng_state()
    rows = rows_of_new_classes(generation, data, 0)
    assert torch.equal(torch.get_rng_state(), state)
    network, _ = read_network(paths.BASE)
    head = head_of(network)
    assert isinstance(head, torch.nn.Linear)
    with torch.inference_mode():
        pixels = torch.from_numpy(data.images.pixels[data.images.rows].copy())
        seen = look(network, pixels).features
        new = torch.from_numpy(data.labels == "emu")
        expected = imprint(head, seen[~new], [seen[new]])
    assert rows.keys() == {f"network.body.8.{name}" for name in expected}
    for name, value in expected.items():
        torch.testing.assert_close(rows[f"network.body.8.{name}"], value, rtol=1e-3, atol=1e-4)
    assert rows_of_new_classes(plan(params(size=12), manifest.set_index("id")["label"]), data, 0) == {}
    run()
    once = files(paths.MODEL)
    run()
    assert files(paths.MODEL) == once
    assert read_network(paths.MODEL)[1].classes == ("cat", "dog", "emu")


def test_images_of_another_size() -> None:
    """A warm start continues with images of another size, and says so."""
    run()
    as_base()
    run(size=12)
    assert read_network(paths.MODEL)[1].size == 12
    lineage = json.loads((paths.MODEL / LINEAGE).read_text())
    assert lineage["start"] == "warm"
    assert lineage["reason"].endswith("; images are of 12 pixels, and were of 8")


@pytest.mark.parametrize(
    ("freeze", "said", "kept"),
    [
        (2, "2 of 5 groups of layers frozen", ("body.0.", "body.1.", "body.3.")),
        ("backbone", "the head alone trains", ("body.0.", "body.1.", "body.3.", "body.4.", "body.5.")),
    ],
)
@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
def test_frozen_layers(
    capfd: pytest.CaptureFixture[str], freeze: str | int, said: str, kept: tuple[str, ...], optimizer: str
) -> None:
    """Weights and statistics of frozen layers equal the base's bit for bit; the lineage names the trained layers."""
    run()
    as_base()
    before = read_network(paths.BASE)[0].state_dict()
    capfd.readouterr()
    run(freeze=freeze, optimizer=optimizer)
    assert f"train: {said}\n" in capfd.readouterr().out
    for name, value in read_network(paths.MODEL)[0].state_dict().items():
        is_count = name.endswith("batches_tracked")  # It may be equal to the base's by chance.
        assert torch.equal(value, before[name]) == name.startswith(kept) or is_count, name


def test_nothing_is_frozen_that_was_never_trained(capfd: pytest.CaptureFixture[str]) -> None:
    """Freezing random layers is an error with a hint; layers with weights of a file stay as they are."""
    run()
    paths.WEIGHTS.mkdir()
    shutil.copyfile(paths.MODEL / CHECKPOINT, paths.WEIGHTS / "net.pt")
    model = files(paths.MODEL)
    for freeze in ("backbone", 2):
        with pytest.raises(ParamError) as raised:
            run(freeze=freeze, pretrained=False)
        assert str(raised.value) == (
            f"params.yaml: train.freeze is {freeze}, and training begins from scratch: nothing has been learned yet; "
            "set it to none for the first training, or set train.pretrained"
        )
    assert files(paths.MODEL) == model
    before = read_network(paths.MODEL)[0].state_dict()
    run(freeze="backbone", pretrained="net.pt")
    assert "train: the head alone trains\n" in capfd.readouterr().out
    for name, value in read_network(paths.MODEL)[0].state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("body.8."), name


def test_plain_pytorch_loads_the_weights() -> None:
    """Plain PyTorch loads the weights after removing the prefix of their names, as docs/serving.md says."""
    run()
    state = torch.load(paths.MODEL / CHECKPOINT, weights_only=True)["state_dict"]
    trained, spec = read_network(paths.MODEL)
    network = small(3 if spec.mode == "rgb" else 1, len(spec.classes)).eval()
    network.load_state_dict({name.removeprefix("network.body."): weight for name, weight in state.items()})
    images = torch.randint(0, 256, (2, 3 if spec.mode == "rgb" else 1, spec.size, spec.size), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(trained.eval()(images), network((images / 255 - 0.5) / 0.25), atol=1e-4)


def test_weights_that_nobody_publishes() -> None:
    """Unpublished weights are an error; training does not silently start from scratch."""
    with pytest.raises(ParamError) as raised:
        run(pretrained=True)
    assert str(raised.value) == (
        "params.yaml: train.pretrained is true, and no weights of train.model small are published; "
        "set it to false, or to a file in data/weights; or choose a timm model, such as timm/resnet18"
    )


def test_more_groups_than_there_are() -> None:
    """Too many groups are an error with the available number, and nothing is trained."""
    with_weights({"freeze": 5})
    before = put_model()
    with pytest.raises(ParamError, match=r"train\.freeze is 5, but the network has 5 groups of layers"):
        run(freeze=5)
    assert outside_progress() == before


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
@pytest.mark.parametrize("more", [{}, {"freeze": 2}])
def test_head_first(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], optimizer: str, more: dict[str, Any]
) -> None:
    """While the head is trained first, the rest keeps its weights and statistics; then it trains, too."""
    from pipeline.training.module import Classifier

    step, seen = Classifier.training_step, []

    def watching(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        seen.append({name: value.clone() for name, value in self.network.state_dict().items()})
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", watching)
    run(optimizer=optimizer, epochs=4, head_epochs=2.0, **more)
    steps = len(seen)
    alone = steps // 2
    assert f"train: the head trains alone for {alone} steps\n" in capfd.readouterr().out
    name, statistics, head = "body.5.convolutions.0.weight", "body.5.convolutions.1.running_mean", "body.8.weight"
    for key in (name, statistics):
        assert [torch.equal(state[key], seen[0][key]) for state in seen] == [number <= alone for number in range(steps)]
    assert not torch.equal(seen[1][head], seen[0][head])
    first = "body.1.running_mean"
    assert torch.equal(seen[-1][first], seen[0][first]) == ("freeze" in more)
    checkpoint = read_checkpoint(paths.MODEL)
    state = checkpoint["optimizer_states"][0]
    for group in state["param_groups"]:
        for key, number in zip(group["param_names"], group["params"], strict=True):
            count = group["k"] if optimizer == "schedule_free" else int(state["state"][number]["step"])
            assert count == (steps if key.startswith("network.body.8.") else steps - alone), key
    as_base()
    run(optimizer=optimizer, epochs=4, head_epochs=2.0)
    assert "head" not in capfd.readouterr().out


@pytest.mark.parametrize(
    "more", [{}, {"balance": 1.0, "augment": "strong"}, {"optimizer": "adamw", "clip_norm": 0.5}, {"batch_size": 64}]
)
def test_step_in_parts(more: dict[str, Any]) -> None:
    """If images do not affect each other, accumulated parts give model and curves of whole steps, up to rounding."""
    store_images(train=[*TRAIN, *(Plain("cat", 50 + shade) for shade in range(15))], val=VAL)
    models, curves = [], []
    for parts in (1, 4):
        run(**{"freeze": 4, "batch_size": 16, "epochs": 4, "accumulate": parts, **more})
        models.append(read_network(paths.MODEL)[0].state_dict())
        curves.append(read_curves(paths.MODEL).points)
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-3, atol=1e-5)
    assert not torch.equal(models[0]["body.8.weight"], models[1]["body.8.weight"])
    for name, points in curves[0].items():
        assert [step for step, _ in curves[1][name]] == [step for step, _ in points]
        assert [value for _, value in curves[1][name]] == pytest.approx([value for _, value in points], rel=1e-3)


def test_fewer_images_than_parts() -> None:
    """A step with few images has only as many parts as have two images each."""
    store_images(train=TRAIN[4:9], val=VAL)
    models = []
    for parts in (1, 16):
        run(freeze=4, batch_size=64, accumulate=parts)
        models.append(read_network(paths.MODEL)[0].state_dict()["body.8.weight"])
    torch.testing.assert_close(*models, rtol=1e-4, atol=1e-6)
    assert not torch.equal(*models)


def test_normalisation_in_parts() -> None:
    """Normalisation trains in parts, too: each part has its own statistics, so the model differs."""
    run(batch_size=8, accumulate=2)
    assert json.loads((paths.MODEL / LINEAGE).read_text())["steps"] == {"run": 4, "total": 4}


def test_too_few_images_for_each_part() -> None:
    """Too few images for each part are an error that says what to change."""
    with pytest.raises(ParamError) as raised:
        run(batch_size=15, accumulate=4)
    assert "train.batch_size 15 is too small to be shared out in train.accumulate 4 parts" in str(raised.value)
    assert str(raised.value).endswith("; make it 16 or more, or lower train.accumulate")


@pytest.mark.parametrize("parts", [1, 3])
def test_long_gradients_are_cut(parts: int) -> None:
    """The gradients of a whole step are clipped together to the given norm, as second moments after one step show."""

    def norm(limit: float | None) -> float:
        run(batch_size=12, epochs=1, accumulate=parts, clip_norm=limit, warmup=0.0)
        state = read_checkpoint(paths.MODEL)["optimizer_states"][0]["state"]
        return math.sqrt(sum(float(one["exp_avg_sq"].sum()) for one in state.values()) / 0.001)

    free = norm(None)
    assert norm(free / 3) == pytest.approx(free / 3, rel=1e-3)
    assert norm(free * 3) == free
