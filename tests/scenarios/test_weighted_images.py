"""The column `weight` of labels.csv and its effect on a model: real DVC and Git."""

from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.slow
CALL = ("python", "-m", "pipeline")


def weigh(project: Project, weights: dict[str, str], column: str = "weight") -> None:
    """Give digits these weights, by their path below data/raw; others have no line."""
    lines = [f"{path},{path.partition('/')[0]},{weight}\n" for path, weight in weights.items()]
    (project.root / "data/raw/labels.csv").write_text("".join([f"path,label,{column}\n", *lines]))


def sources(project: Project, split: str) -> list[str]:
    """Return the places of the images of a split."""
    from pipeline import parquet
    from pipeline.images import index

    rows = parquet.read_table(project.root / index.INDEX, index.SCHEMA, ["id", "source"]).to_pylist()
    by_id = {row["id"]: row["source"] for row in rows}
    return [by_id[one] for one in project.ids(split)]


def model(project: Project) -> str:
    """Return the model's hash in dvc.lock."""
    return project.lock()["train"]["outs"]["data/model"]


@pytest.mark.nightly
def test_weights(project: Project) -> None:
    """Weights give another, reproducible model; equal weights give the same one; 0 excludes an image from training."""
    project.set_params(train={"balance": 0.25})
    project.add_digits(0, 80)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("even")
    weights = (project.root / "data/model/checkpoint.ckpt").read_bytes()
    even, lists = model(project), project.snapshot("data/manifest")
    trained, held_out = sources(project, "train"), sources(project, "test")

    weigh(project, dict.fromkeys(trained, "1"))
    assert "up to date" not in project.run(*CALL, "status").out
    assert "train: " not in project.repro()
    assert (model(project), project.snapshot("data/manifest")) == (even, lists)

    weigh(project, {**dict.fromkeys(trained[:3], "2.5"), trained[3]: "0", held_out[0]: "0"})
    said = project.run(*CALL, "status").out
    assert "5 reweighted" in said
    assert "train, evaluate: " in said
    out = project.repro()
    assert "0 new to training, 1 removed, 3 relabelled (3 of them with another weight)" in out
    assert "1 of weight 0 kept from training" in out
    assert "train: warm start" in out
    assert sources(project, "train") == [path for path in trained if path != trained[3]]
    assert sources(project, "test") == held_out
    assert project.read("data/manifest/train.csv").startswith("id,label,md5,weight\n")
    assert project.read("data/manifest/changes.csv").count("reweighted,") == 3
    assert project.read("data/manifest/slices.csv").startswith("id,generation\n")
    project.commit("uneven")
    assert "up to date" in project.run(*CALL, "status").out
    assert "reproduced, bit for bit" in project.run(*CALL, "replay").out

    weigh(project, dict.fromkeys(trained, "3"))
    project.set_params(manifest={"cold_after": model(project)})
    assert "cold start" in project.repro()
    assert (project.root / "data/model/checkpoint.ckpt").read_bytes() == weights


def test_a_weight_that_is_none(project: Project) -> None:
    """An invalid weight stops ingest before decoding, and the error names the line."""
    project.add_digits(0, 4)
    weigh(project, {"digit 0/0000.png": "heavy"})
    project.dvc("add", "--quiet", "data/raw")
    out = project.repro("ingest", ok=False)
    assert "data/raw/labels.csv: line 2 has the weight 'heavy'; write 0 to keep it from training, or a number" in out
    assert not Path(project.root / "data/images/index.parquet").exists()
