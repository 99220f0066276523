"""Planning a generation: what it starts from, and errors if the base does not fit."""

from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import ROOT

from pipeline import paths
from pipeline.errors import CheckpointError
from pipeline.lineage.base import FIRST, HELD_OUT, NONE
from pipeline.lineage.lineage import LINEAGE, Budget, Epochs, ImageCounts, Lineage, write_lineage
from pipeline.lineage.seen_images import SEEN, SeenImages, write_seen
from pipeline.models import network
from pipeline.models.checkpoint import CHECKPOINT, SPEC
from pipeline.models.network import Spec, build
from pipeline.params import Params, read_params
from pipeline.training.generation import Generation, plan
from pipeline.versioning import hashing

OLD = Spec(model="small", size=8, mode="grey", classes=("emu", "cat", "dog"))


def params(section: str = "train", **changes: Any) -> Params:
    """Return this project's params with a tiny network, and `changes` to a section."""
    read = read_params(ROOT / "params.yaml")
    train = read.train.model_copy(update={"size": 8, "epochs": 5, "passes": 4.0, "min_steps": 1, "batch_size": 4})
    read = read.model_copy(update={"train": train, "ingest": read.ingest.model_copy(update={"mode": "grey"})})
    return read.model_copy(update={section: getattr(read, section).model_copy(update=changes)})


def images(**classes: range) -> "pd.Series[str]":
    """Return labels by id for these image numbers of each class."""
    labels = {digest(number): name for name, numbers in classes.items() for number in numbers}
    return pd.Series(labels, dtype=str).sort_index()


def digest(number: int) -> str:
    """Return an image's id."""
    return md5(bytes([number])).hexdigest()


BEFORE = images(emu=range(3), cat=range(3, 6), dog=range(6, 9))


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)
    paths.BASE.mkdir(parents=True)


@pytest.fixture
def base() -> Path:
    """Make a base that is the fourth of its chain, trained on `BEFORE`, and on image 20 earlier."""
    weights = {f"network.{name}": weight for name, weight in build(OLD).state_dict().items()}
    torch.save({SPEC: OLD.as_kept(), "state_dict": weights, "epoch": 11}, paths.BASE / CHECKPOINT)
    counts = ImageCounts(total=9, new=1, removed=0, relabelled=0)
    budgets = {"epochs": Epochs(run=2, total=11), "steps": Budget(run=6, total=33)}
    facts = {"generation": 4, "start": "warm", "reason": "", "base": "0" * 32 + ".dir", "images": counts, **budgets}
    write_lineage(Lineage.model_validate(facts), paths.BASE)
    write_seen(SeenImages(labels=BEFORE, earlier=pd.Index([digest(20)], dtype=str)), paths.BASE)
    return paths.BASE


def without_base(reason: str = FIRST) -> None:
    """Write a data/base without a model, for this reason."""
    (paths.BASE / NONE).write_text(reason + "\n")


def complaint(asked: Params, labels: "pd.Series[str]" = BEFORE) -> str:
    """Return the error of planning, which is one line with the checkpoint and a hint."""
    with pytest.raises(CheckpointError) as raised:
        plan(asked, labels)
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.startswith(f"{paths.BASE / CHECKPOINT}: ")
    return said


@pytest.mark.parametrize("reason", [FIRST, HELD_OUT])
def test_cold_start(reason: str) -> None:
    """Without a base all images are new, classes are sorted, and counters start at zero."""
    without_base(reason)
    generation = plan(params(), BEFORE)
    assert generation.base is None
    assert generation.spec == Spec(model="small", size=8, mode="grey", classes=("cat", "dog", "emu"))
    assert generation.lineage == Lineage(
        generation=1,
        start="cold",
        reason=reason,
        base=None,
        images=ImageCounts(total=9, new=9, removed=0, relabelled=0),
        epochs=Epochs(run=5, total=5),
        steps=Budget(run=15, total=15),  # Three batches of at most four images per epoch.
    )
    assert set(generation.seen.ids) == set(BEFORE.index)
    assert str(generation) == f"cold start ({reason}), generation 1, 9 new images, 15 steps (45 images, 5.0 epochs)"


def test_warm_start(base: Path) -> None:
    """Images are compared with the base's last training, and epochs and steps are added."""
    labels = images(emu=range(1, 3), cat=range(3, 7), dog=range(7, 9), fox=range(20, 24))  # 6 was a dog.
    generation = plan(params(), labels)
    assert generation.base is not None
    assert generation.base["epoch"] == 11
    lineage = generation.lineage
    assert (lineage.generation, lineage.start, lineage.base) == (5, "warm", hashing.directory_hash(base))
    assert lineage.images == ImageCounts(total=12, new=4, removed=1, relabelled=1)
    assert lineage.reason == "4 of 12 training images are new, 1 are gone"
    # Six are new, removed or relabelled; each is worth four draws.
    assert lineage.epochs == Epochs(run=2, total=13)
    assert lineage.steps == Budget(run=6, total=39)
    start = f"warm start from {str(lineage.base)[:8]}…, generation 5, 4 new images"
    assert str(generation) == f"{start}, 6 steps (24 images, 2.0 epochs)"
    draws = generation.rounds.draws
    assert [labels.iloc[position] for position in draws.arrived] == list(labels[seen_anew(labels)])
    assert (draws.start, generation.rounds.before) == ((11, 0), 11)


@pytest.mark.usefixtures("base")
def test_seen_images_are_never_forgotten() -> None:
    """The new model has seen its images, and those of all its bases."""
    labels = images(emu=range(1), cat=range(3, 4), dog=range(6, 7), fox=range(30, 32))
    seen = plan(params(), labels).seen
    assert seen.labels.to_dict() == labels.to_dict()
    assert set(seen.earlier) == {*BEFORE.index, digest(20)} - {*labels.index}


@pytest.mark.usefixtures("base")
def test_nothing_new() -> None:
    """The same images give a warm start, too."""
    lineage = plan(params(), BEFORE).lineage
    assert lineage.images == ImageCounts(total=9, new=0, removed=0, relabelled=0)
    assert (lineage.generation, lineage.start) == (5, "warm")


@pytest.mark.usefixtures("base")
def test_classes_keep_their_order_and_new_ones_follow() -> None:
    """Old classes keep their positions, and new ones follow, sorted."""
    labels = images(ant=range(30, 32), cat=range(3, 6), dog=range(6, 9), emu=range(3), Zebra=range(40, 41))
    generation = plan(params(), labels)
    assert generation.spec.classes == ("emu", "cat", "dog", "Zebra", "ant")
    assert plan(params(), BEFORE).spec.classes == OLD.classes


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    ("section", "key", "before", "now"),
    [
        ("train", "model", "small", "timm/resnet18"),
        ("ingest", "mode", "grey", "rgb"),
    ],
)
def test_base_of_another_kind(section: str, key: str, before: object, now: object) -> None:
    """A base with another network or colour mode is refused; other params may change."""
    said = complaint(params(section, **{key: now}))
    assert f"{section}.{key} was {before!r} when it was trained and is {now!r} now" in said
    assert said.endswith("; set it back, or run `pipeline fresh` to train from scratch")
    assert plan(params(lr=0.5, batch_size=3, precision="bf16-mixed", seed=7), BEFORE).base is not None
    assert plan(params("ingest", size=512), BEFORE).base is not None


@pytest.mark.usefixtures("base")
def test_another_size() -> None:
    """A network for any size continues with another size, which the lineage records."""
    assert "pixels" not in plan(params(), BEFORE).lineage.reason
    generation = plan(params(size=12), BEFORE)
    assert generation.base is not None
    assert generation.spec.size == 12
    assert generation.lineage.reason.endswith("; images are of 12 pixels, and were of 8")


@pytest.mark.usefixtures("base")
def test_other_framing() -> None:
    """A changed framing continues, and is recorded; the checkpoint has the number that `model` means."""
    assert "framing" not in plan(params(), BEFORE).lineage.reason
    squashed = plan(params(framing="squash", crop_pct=0.875), BEFORE)
    assert squashed.base is not None
    assert (squashed.spec.framing, squashed.spec.crop_pct, squashed.spec.source) == ("squash", 0.875, 9)
    assert squashed.lineage.reason.endswith("; framing is squash, and was fill; crop_pct is 0.875, and was 1")
    assert plan(params(crop_pct="model"), BEFORE).spec == plan(params(), BEFORE).spec


@pytest.mark.usefixtures("base")
def test_base_of_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base whose layers have other widths in the current code is an error with a hint."""
    monkeypatch.setattr(network, "WIDTHS", (32, 64, 96))
    said = complaint(params())
    assert "does not contain the weights of small as the code builds it now" in said
    assert said.endswith("or run `pipeline fresh` to train from scratch")


@pytest.mark.usefixtures("base")
def test_vanished_class() -> None:
    """A class without images is dropped, which the lineage records; the others keep their order."""
    generation = plan(params(), images(emu=range(3), dog=range(6, 9), fox=range(30, 33)))
    assert generation.spec.classes == ("emu", "dog", "fox")
    assert generation.base is not None
    assert generation.lineage.start == "warm"
    assert generation.lineage.reason.endswith(" are gone; without its former classes cat")


@pytest.mark.usefixtures("base")
def test_a_renamed_class_has_vanished() -> None:
    """A class under another name, even in another case, is another class."""
    generation = plan(params(), images(emu=range(3), cat=range(3, 6), Dog=range(6, 9)))
    assert generation.spec.classes == ("emu", "cat", "Dog")
    assert generation.lineage.reason.endswith("; without its former classes dog")


@pytest.mark.parametrize("file", [CHECKPOINT, LINEAGE, SEEN])
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_base_that_is_damaged(base: Path, file: str, content: bytes | None) -> None:
    """A base with a missing or damaged file is an error that names it, never a cold start."""
    (base / file).unlink()
    if content is not None:
        (base / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{base / file}: ") as raised:
        plan(params(), BEFORE)
    assert len(str(raised.value).splitlines()) == 1


def test_an_empty_base_is_an_error() -> None:
    """A data/base with neither a model nor a reason is an error."""
    assert "no such file" in complaint(params())


@pytest.mark.usefixtures("base")
def test_planning_writes_nothing() -> None:
    """Planning writes nothing."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert isinstance(plan(params(), BEFORE), Generation)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_turns_go_on(base: Path) -> None:
    """If the base records its turns, rounds continue from them."""
    checkpoint = torch.load(base / CHECKPOINT, weights_only=True)
    torch.save({**checkpoint, "epoch": 7, "cursor": [4, 2**63]}, base / CHECKPOINT)
    rounds = plan(params(), BEFORE).rounds
    assert (rounds.before, rounds.draws.start) == (7, (4, 2**63))
    assert len(rounds.draws.arrived) == 0


@pytest.mark.usefixtures("base")
def test_fractions_of_an_epoch() -> None:
    """One new image of ten is worth four draws."""
    labels = pd.concat([BEFORE, images(emu=range(30, 31))]).sort_index()
    lineage = plan(params(), labels).lineage
    assert lineage.epochs == Epochs(run=0.4, total=11.4)
    assert lineage.steps == Budget(run=1, total=34)


@pytest.mark.usefixtures("base")
def test_all_anew_with_a_schedule() -> None:
    """AdamW runs the given passes over new and old images alike."""
    labels = pd.concat([BEFORE, images(emu=range(30, 31))]).sort_index()
    generation = plan(params(optimizer="adamw", warm_epochs=2), labels)
    assert generation.lineage.epochs == Epochs(run=2, total=13)
    assert len(generation.rounds.draws.arrived) == 0


def seen_anew(labels: "pd.Series[str]") -> "pd.Series[bool]":
    """Return for each of `labels` whether it is new or relabelled for the base."""
    return labels.ne(BEFORE.reindex(labels.index))
