"""Images chosen by a model, labelled, and trained on: real DVC and Git."""

import csv
import io

import pytest
from conftest import Project, stages_run

from pipeline.files import md5_of_file

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def test_from_next_to_a_model(project: Project) -> None:
    """Choose images, correct a label, move the folder into data/raw, and train: the corrected labels are used."""
    project.add_digits(0, 60)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("first model")
    folder = project.root / "unlabelled"
    folder.mkdir()
    for path in project.add_digits(60, 100, into="../later"):
        path.rename(folder / path.name)
    before = project.snapshot("data/raw", "data/images", "data/model")

    command = ("python", "-m", "pipeline", "next", "unlabelled", "data/raw", "--count", "10")
    out = project.run(*command, "--into", "batch", "--html", "batch.html").out
    assert "chosen 10 of 40 unlabelled images into batch; 60 known already" in out
    assert project.snapshot("data/raw", "data/images", "data/model") == before
    labels = list(csv.reader(io.StringIO(project.read("batch/labels.csv"))))
    labels[1][1] = "corrected"
    (project.root / "batch/labels.csv").write_text("".join(f"{name},{label}\n" for name, label in labels))

    (project.root / "batch").rename(project.root / "data/raw/batch")
    out = project.repro()
    assert "70 images, 10 new, 0 removed, 0 refused; 10 decoded" in out
    assert stages_run(out) == ["ingest", "manifest", "train", "evaluate"]
    manifests = "".join(project.read(f"data/manifest/{split}.csv") for split in ("train", "val", "test", "leaks"))
    for name, label in labels[1:]:
        image_id = md5_of_file(project.root / "data/raw/batch" / name)
        assert f"\n{image_id},{label}," in manifests
    assert set(project.read("data/manifest/slices.csv").splitlines()[0].split(",")) == {"id", "generation"}
    out = project.run(*command, "--into", "more").out
    assert "chosen 10 of 30 unlabelled images into more; 80 known already" in out
