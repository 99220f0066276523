"""A new model in data/model is served once it is accepted, and no request is lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from threading import Event

import pytest
from support.drawn import CLASSES, save_drawn, set_params
from support.kinds import noise
from support.serving import Served

from pipeline import cli, paths
from pipeline.commands.serve.in_memory import bytes_of
from pipeline.commands.server.current import Current
from pipeline.errors import RecordError, ServingError
from pipeline.lineage.acceptance import Judgement, write_judgements
from pipeline.lineage.lineage import RECORDED, Recorded, read_lineage
from pipeline.models.checkpoint import CHECKPOINT
from pipeline.versioning import hashing

NEWER = (*CLASSES, "fox")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with the first model."""
    monkeypatch.chdir(tmp_path)
    set_params()
    paths.PIPELINE.write_text("stages: {}\n")
    save_drawn(paths.MODEL)


def train(classes: tuple[str, ...] = NEWER) -> str:
    """Replace the model of data/model by another one with a base, and return its hash."""
    save_drawn(Path("aside"), classes=classes, base="b.dir")
    rmtree(paths.MODEL)
    Path("aside").rename(paths.MODEL)
    return hashing.directory_hash(paths.MODEL) or ""


def judge(*, accepted: bool) -> None:
    """Write the verdict as evaluate does."""
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    facts = read_lineage(paths.MODEL).model_dump()
    oid = hashing.directory_hash(paths.MODEL) or ""
    recorded = Recorded(model=oid, accepted=accepted, verdict="accuracy fell", **facts)
    RECORDED.write_text(recorded.model_dump_json())


def settled(current: Current) -> str:
    """Look until nothing changes, and return the messages."""
    return [current.look() for _ in range(3)][1]


def test_only_what_is_accepted_is_taken() -> None:
    """A model without a verdict, or refused by the gate or a user, is not served; an accepted one is served at once."""
    current = Current(paths.MODEL)
    first = current.model
    assert settled(current) == ""
    second = train()
    assert current.look() == ""  # The files may still change.
    assert "does not say whether" in current.look()
    assert "does not say whether" in current.waiting
    assert current.look() == ""
    judge(accepted=False)
    assert f"{second[:8]}… is not accepted (accuracy fell)" in settled(current)
    assert current.model is first
    write_judgements({second: Judgement(accepted=True, why="it is fine")})
    assert settled(current) == f"now serving {second[:8]}…, generation 2"
    assert (current.model.hash, current.model.classes, current.waiting) == (second, NEWER, "")
    third = train(CLASSES[:2])
    judge(accepted=True)
    write_judgements({second: Judgement(accepted=True, why=""), third: Judgement(accepted=False, why="not this one")})
    assert "is not accepted (not this one)" in settled(current)
    assert current.model.hash == second


def test_what_cannot_be_read_is_not_taken() -> None:
    """While data/model is missing or damaged, the old model is served; its unchanged return causes no message."""
    current = Current(paths.MODEL)
    first = current.model
    good = (paths.MODEL / CHECKPOINT).read_bytes()
    paths.MODEL.rename("away")
    assert "no model there" in settled(current)
    Path("away").rename(paths.MODEL)
    assert settled(current) == ""
    assert current.waiting == ""
    (paths.MODEL / CHECKPOINT).write_bytes(good[:-100])
    assert "damaged" in settled(current)
    assert current.model is first


def test_beginning() -> None:
    """The server does not start with a model that is not accepted, and gives a hint; it starts with other folders."""
    train()
    with pytest.raises(RecordError, match="does not say whether"):
        Current(paths.MODEL)
    judge(accepted=False)
    hint = r"run `pipeline accept --why TEXT` to overrule that, or serve what it started from by --model data/base$"
    with pytest.raises(ServingError, match=rf"^data/model: \w+… is not accepted \(accuracy fell\); {hint}"):
        Current(paths.MODEL)
    save_drawn(paths.BASE)
    current = Current(paths.BASE)
    save_drawn(paths.BASE, classes=NEWER, base="b.dir")
    assert settled(current).startswith("now serving ")


def test_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    """A missing model is a one-line error that says how to get it."""
    rmtree(paths.MODEL)
    assert cli.main(["serve", "--port", "0"]) == 1
    assert capsys.readouterr().err.endswith("no model there; run `dvc repro`, which trains one\n")


@pytest.mark.slow
def test_no_request_is_lost(tmp_path: Path) -> None:
    """All requests are answered by the old or the new model during the replacement, and by the new one afterwards."""
    image, ended = bytes_of(noise(0), ""), Event()
    with Served(tmp_path) as served, ThreadPoolExecutor(3) as pool:

        def ask() -> set[tuple[str, int]]:
            answers = set()
            while not ended.is_set():
                answer = served.post(image)
                assert answer.status_code == 200, answer.text
                told = answer.json()
                answers.add((told["model"]["hash"], len(told["images"][0]["top"])))
            return answers

        asking = [pool.submit(ask) for _ in range(2)]
        first = hashing.directory_hash(paths.MODEL)
        try:
            second = train()
            served.wait_for("still serving")
            assert "does not say whether" in served.get("/health").json()["waiting"]
            judge(accepted=True)
            served.wait_for(f"now serving {second[:8]}")
            assert served.post(image).json()["model"]["hash"] == second
        finally:
            ended.set()
        answered = set().union(*(one.result() for one in asking))
    assert answered <= {(first, len(CLASSES)), (second, len(NEWER))}
    assert (first, len(CLASSES)) in answered
