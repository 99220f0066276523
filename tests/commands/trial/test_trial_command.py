"""`pipeline try` estimates what a training takes, and leaves no files."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from commands.trial.test_contract import params
from conftest import ROOT
from support.own import NET, write_package
from support.stored import Plain, store_images

from pipeline import cli, paths
from pipeline.commands.trial.measuring import Row, expect
from pipeline.commands.trial.samples import drawn, samples_of

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project without data the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)


def files() -> dict[str, bytes]:
    """Return every file of the project."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def stages(out: str) -> list[str]:
    """Return the rows of the table."""
    return re.findall(r"^(\w+) +[\d,]+ +[\d,.]+ +[\d,]+$", out, flags=re.MULTILINE)


def test_without_images(capsys: Capture) -> None:
    """Without images, synthetic ones are used, and decoding is not measured."""
    params()
    before = files()
    assert cli.main(["try"]) == 0
    out = capsys.readouterr().out
    assert stages(out) == ["augment", "step", "evaluate"]
    assert out.startswith("small at 8 pixels, on cpu, drawn images\n")
    assert re.search(r"^memory: [\d,]+ MiB at most \(process\)$", out, flags=re.MULTILINE)
    assert "a generation of 100 new images: 25 steps, about 1 s\n" in out
    assert "from scratch, 1,000 images: " in out
    assert files() == before


def test_with_images_of_the_project(capsys: Capture) -> None:
    """A few batches of the project's images are decoded; nothing is written to data/."""
    store_images(
        train=[Plain("cat", shade) for shade in range(40)] + [Plain("dog", 200 + shade) for shade in range(40)]
    )
    params()
    before = files()
    assert cli.main(["try"]) == 0
    out = capsys.readouterr().out
    assert "64 images of 80\n" in out
    assert stages(out) == ["decode", "augment", "step", "evaluate"]
    assert "from scratch, 80 images: 10 steps" in out
    assert files() == before


@pytest.mark.parametrize("augment", ["none", "light"])
def test_with_a_frozen_backbone(capsys: Capture, augment: str) -> None:
    """Features of a frozen backbone are computed once per view rather than at each step, and are not kept."""
    params(freeze="backbone", augment=augment)
    before = files()
    assert cli.main(["try"]) == 0
    assert stages(capsys.readouterr().out) == ["features", "step", "evaluate"]
    assert files() == before


def test_steps_in_parts_take_all_of_them() -> None:
    """With accumulation a part is measured; a step of four parts takes four times as long; features are per view."""
    here, rows = params(accumulate=4), [Row("augment", 1.0, 4), Row("step", 2.0, 4)]
    warm, cold = expect(here, samples_of(here), rows)
    assert (warm.seconds, cold.seconds) == (12.0 * warm.steps, 12.0 * cold.steps)
    for augment, views in (("none", 1), ("light", 4)):
        frozen = params(accumulate=4, freeze="backbone", augment=augment)
        warm, _ = expect(frozen, samples_of(frozen), [Row("features", 1.0, 4), Row("step", 2.0, 4)])
        assert warm.seconds == 8.0 * warm.steps + 100 * views / 4


def test_own_code_is_tried(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the contract there is a line for each promise; if one fails, the command fails."""
    write_package(monkeypatch, nets=NET)
    params(model="mine.nets:build", epochs=1)
    before = files()
    assert cli.main(["try", "--contract"]) == 0
    out = capsys.readouterr().out
    assert out.count("\nholds    ") == 6
    assert "FAILS" not in out
    assert cli.main(["try", "--contract", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in told["stages"]] == stages(out)
    assert all(row["images_per_second"] > 0 for row in told["stages"])
    assert [f"holds    {one['promise']}" in out for one in told["promises"] if one["holds"]] == [True] * 6
    assert files() == before
    write_package(monkeypatch, nets=NET.replace("4", "classes"))
    assert cli.main(["try", "--contract"]) == 1
    with_text = capsys.readouterr().out
    assert cli.main(["try", "--contract", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert "stages" not in told
    assert told["promises"][0]["trouble"] in with_text
    said = "FAILS    builds: a logit for each class, and a row: mine.nets:build: body.3.weight has the shape (3, 3) for"
    assert with_text.startswith(said)


def test_code_that_does_not_work(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that does not work is a one-line error on stderr."""
    write_package(monkeypatch)
    params(model="mine.nets:build")
    assert cli.main(["try"]) == 1
    said = (
        "pipeline: error: mine.nets:build: no file mine/nets.py in the project's folder; correct the path, or add it\n"
    )
    assert capsys.readouterr() == ("", said)


def test_expectations_follow_the_params() -> None:
    """The estimated steps are those of a training, and a step's time is augmenting plus learning."""
    chosen = params(batch_size=10, epochs=2, passes=3.0, min_steps=1)
    rows = [Row("decode", 9.0, 10), Row("augment", 0.5, 10), Row("step", 1.5, 10), Row("evaluate", 9.0, 10)]
    warm, cold = expect(chosen, samples_of(chosen), rows)
    assert (warm.steps, warm.seconds) == (30, 60.0)
    assert (cold.steps, cold.seconds) == (200, 400.0)


def test_drawn_images() -> None:
    """Synthetic images have the size and colours of the params, are reproducible, and differ between classes."""
    chosen = params()
    one, other = drawn(chosen, 12, classes=3), drawn(chosen, 12, classes=3)
    assert (one.images.pixels == other.images.pixels).all()
    assert one.images.pixels.shape == (12, 1, 8, 8)
    assert sorted(set(one.labels)) == ["class 0", "class 1", "class 2"]
    means = torch.tensor(one.images.pixels).float().mean((1, 2, 3))
    assert [int(mean) // 64 for mean in means] == [0, 1, 2] * 4
    assert list(one.ids) == sorted(one.ids)
