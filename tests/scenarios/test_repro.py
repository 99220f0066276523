"""`dvc repro` as images come and go: real Git, real DVC, tiny models."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, stages_run
from ruamel.yaml import YAML

ALL = ["ingest", "manifest", "train", "evaluate"]


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with one generation, pushed to a remote. Tests copy it."""
    folder = tmp_path_factory.mktemp("trained")
    project = make_project(folder / "project")
    project.add_digits(0, 120)
    project.dvc("remote", "add", "--default", "storage", str(folder / "remote"))
    project.add_raw()
    assert stages_run(project.repro()) == ALL
    project.commit("generation 1")
    project.dvc("push", "--quiet")
    return project


@pytest.fixture(scope="module")
def trained_twice(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return `trained` with a second generation of 40 more images. Tests copy it."""
    project = _copy(trained, tmp_path_factory.mktemp("trained-twice"))
    project.add_digits(120, 160)
    out = project.repro()
    assert stages_run(out) == ALL
    (project.root.parent / "printed").write_text(out)
    project.commit("generation 2")
    project.dvc("push", "--quiet")
    return project


@pytest.fixture
def first(trained: Project, tmp_path: Path) -> Project:
    """Return a copy of `trained` that tests may change."""
    return _copy(trained, tmp_path)


@pytest.fixture
def second(trained_twice: Project, tmp_path: Path) -> Project:
    """Return a copy of `trained_twice` that tests may change."""
    return _copy(trained_twice, tmp_path)


def _copy(project: Project, folder: Path) -> Project:
    """Copy `project` and its remote into `folder`."""
    shutil.copytree(project.root.parent, folder / "copy", symlinks=True)
    copy = Project(folder / "copy" / "project")
    config = copy.root / ".dvc/config"
    config.write_text(config.read_text().replace(str(project.root.parent), str(folder / "copy")))
    copy.commit("a remote of its own")
    return copy


def test_nothing_new_runs_nothing(first: Project) -> None:
    """After a run the project is clean, and a second run does nothing."""
    assert "up to date" in first.status()
    assert stages_run(first.repro()) == []


def test_code_for_people_trains_nothing(first: Project) -> None:
    """Changes to commands, durations, terminal and report do not retrain; a file that determines weights does."""
    for path in [*first.root.glob("pipeline/commands/**/*"), *first.root.glob("pipeline/evaluation/**/*")]:
        if path.is_file():
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")
    for name in ("errors", "files", "git", "result", "versioning/remote", "lineage/selection"):
        with (first.root / f"pipeline/{name}.py").open("a") as file:
            file.write("# newer\n")
    assert first.dvc("status", "train").out.strip() == "Data and pipelines are up to date."
    assert "pipeline/evaluation" in first.dvc("status", "evaluate").out
    with (first.root / "pipeline/training/module.py").open("a") as file:
        file.write("# newer\n")
    assert "pipeline/training/module.py" in first.dvc("status", "train").out


def test_a_comment_decodes_nothing(first: Project) -> None:
    """A change of ingest's code with the same results runs the stage, decodes no image, and trains nothing."""
    for name in ("standardising", "decoding", "perceptual_hash", "pictures/uniform", "recipe"):
        with (first.root / f"pipeline/ingestion/{name}.py").open("a") as file:
            file.write("# newer\n")
    out = first.repro()
    assert stages_run(out) == ["ingest", "manifest"]  # It uses perceptual hashes, too.
    assert " 0 decoded" in out


def test_first_generation_is_cold(trained: Project) -> None:
    """Without a record training starts from scratch, and says so."""
    lineage = json.loads(trained.read("data/model/lineage.json"))
    assert (lineage["generation"], lineage["start"], lineage["base"]) == (1, "cold", None)
    assert lineage["reason"] == "dvc.lock records no training yet"
    assert "no training" in trained.read("data/base/none")


def test_more_images_warm_start_from_the_recorded_checkpoint(trained: Project, trained_twice: Project) -> None:
    """Only new images are decoded, and training starts from the model recorded in dvc.lock."""
    before, out = trained.lock()["train"]["outs"]["data/model"], trained_twice.read("../printed")
    assert "ingest: 160 images, 40 new, 0 removed, 0 refused; 40 decoded" in out
    assert f"train: warm start from {before[:8]}" in out
    lock = trained_twice.lock()
    assert lock["train"]["deps"]["data/base"] == lock["manifest"]["outs"]["data/base"] == before
    lineage = json.loads(trained_twice.read("data/model/lineage.json"))
    assert (lineage["generation"], lineage["start"], lineage["base"]) == (2, "warm", before)
    # Each of the 28 new training images is worth four draws, of 128 images.
    assert lineage["epochs"] == {"run": 0.875, "total": 2.875}
    metrics = json.loads(trained_twice.read("data/report/metrics.json"))
    assert metrics["base"]["support"] == metrics["support"] == len(trained_twice.ids("test"))


def test_copies_touches_and_renames_train_nothing(first: Project) -> None:
    """Changes without a new image train nothing: a copy, a new mtime, another name, the same images in an archive.

    `evaluate` runs if images have another place, since suspects.csv contains places.
    """
    raw, lock = first.root / "data/raw", first.lock()
    files = sorted(raw.rglob("*.png"))
    shutil.copy(files[0], files[0].with_name("copy.png"))
    os.utime(files[1])
    files[2].rename(files[2].with_name("renamed.png"))
    assert "train" not in stages_run(first.repro("train"))
    with zipfile.ZipFile(raw / "rest.zip", "w") as archive:
        for file in files[3:60]:
            archive.write(file, file.relative_to(raw))
            file.unlink()
    out = first.repro()
    assert "train" not in stages_run(out)
    assert "0 new, 0 removed" in out
    assert first.lock()["train"] == lock["train"]
    before, after = (one["manifest"]["outs"] for one in (lock, first.lock()))
    assert {path for path in before if after[path] != before[path]} == {"data/manifest/review.csv"}


@pytest.mark.slow
def test_forced_run_gives_the_same_bytes_anywhere(second: Project, tmp_path: Path) -> None:
    """`dvc repro -f` does not change dvc.lock, in this folder and in a clone in another one."""
    assert stages_run(second.repro("--force")) == ALL
    second.git("diff", "--exit-code", "HEAD")
    clone = second.clone(tmp_path / "elsewhere")
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    assert stages_run(clone.repro("--force")) == ALL
    clone.git("diff", "--exit-code", "HEAD")


def test_fresh_clone_warm_starts_from_the_recorded_checkpoint(first: Project, tmp_path: Path) -> None:
    """A fresh clone with a new image starts from the team's checkpoint, not from scratch."""
    recorded = first.lock()["train"]["outs"]["data/model"]
    clone = first.clone(tmp_path / "clone")
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    clone.add_digits(120, 130)
    out = clone.repro("--pull", "train")
    assert "10 decoded" in out
    assert f"train: warm start from {recorded[:8]}" in out
    assert clone.lock()["train"]["deps"]["data/base"] == recorded


@pytest.mark.slow
def test_fresh_clone_with_a_copy_only_trains_nothing(second: Project, tmp_path: Path) -> None:
    """In a fresh clone a copy of an image trains nothing, and the base is kept."""
    lock = second.lock()
    clone = second.clone(tmp_path / "clone")
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    file = next((clone.root / "data/raw").rglob("*.png"))
    shutil.copy(file, file.with_name("copy.png"))
    assert "train" not in stages_run(clone.repro("--pull", "train"))
    assert clone.lock()["train"] == lock["train"]
    assert clone.lock()["manifest"]["outs"] == lock["manifest"]["outs"]


def test_lost_checkpoint_is_an_error_never_a_cold_start(first: Project) -> None:
    """A recorded checkpoint that cannot be found stops the run; `pipeline fresh` resolves it."""
    oid = first.lock()["train"]["outs"]["data/model"]
    shutil.rmtree(first.root / "data/model")
    for store in (first.root / ".dvc/cache", first.root.parent / "remote"):
        (store / "files/md5" / oid[:2] / oid[2:]).unlink()
    first.add_digits(120, 121)
    watched = ("data/images", "data/manifest", "data/base", "data/report")
    before, lock = first.snapshot(*watched), first.decided()
    failed = first.repro(ok=False)
    complaint = [line for line in failed.splitlines() if "error:" in line]
    assert len(complaint) == 1
    assert oid in complaint[0]
    assert "dvc push" in complaint[0]
    assert "Traceback" not in failed
    assert (first.snapshot(*watched), first.decided()) == (before, lock)

    assert "`pipeline fresh`" in complaint[0]
    first.pipeline("fresh")
    assert "; no base: `pipeline fresh` asked for a cold start" in first.repro("manifest")


def test_manifest_refuses_a_lost_checkpoint_too(first: Project) -> None:
    """`manifest`, which selects the base, changes nothing if the base is not available."""
    oid = first.lock()["train"]["outs"]["data/model"]
    first.add_digits(120, 121)
    for stage in ("listing", "ingest"):
        first.pipeline("run", stage)
    shutil.rmtree(first.root / "data/model")
    for store in (first.root / ".dvc/cache", first.root.parent / "remote"):
        (store / "files/md5" / oid[:2] / oid[2:]).unlink()
    before = first.snapshot("dvc.lock", "data/manifest", "data/base")
    assert oid in first.pipeline("run", "manifest", ok=False).out
    assert first.snapshot("dvc.lock", "data/manifest", "data/base") == before


@pytest.mark.slow
def test_failed_training_loses_nothing(first: Project) -> None:
    """A failed stage restores the previous outputs, which DVC removed at its start."""
    before = first.snapshot("dvc.lock", "data/model")
    first.set_params(train={"lr": 1e30})
    out = first.repro(ok=False)
    assert "train: error: " in out
    assert "the loss is" in out
    assert first.snapshot("dvc.lock", "data/model") == before


@pytest.mark.nightly
@pytest.mark.slow
def test_experiments_start_from_the_same_base(second: Project) -> None:
    """An experiment starts from the base of the run that it varies, however it is run."""
    base = second.lock()["train"]["deps"]["data/base"]
    for number, flags in enumerate(([], [], ["--temp"], ["--queue"])):
        change = f"train.lr={0.001 * (number + 1)}"
        second.dvc("exp", "run", "--name", f"try-{number}", "--set-param", change, *flags, "train")
    second.dvc("queue", "start")
    second.dvc("queue", "logs", "try-3", "--follow", ok=None)
    refs = second.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    for number in range(4):
        ref = next(ref for ref in refs if ref.endswith(f"/try-{number}"))
        lock = YAML(typ="safe").load(second.git("show", f"{ref}:dvc.lock"))["stages"]["train"]
        assert {dep["path"]: dep["md5"] for dep in lock["deps"]}["data/base"] == base
        assert lock["params"]["params.yaml"]["train.lr"] == 0.001 * (number + 1)


def generations(project: Project) -> dict[str, str]:
    """Return the generation of each test image, by id."""
    lines = [line.split(",") for line in project.read("data/manifest/slices.csv").splitlines()]
    assert lines[0][:2] == ["id", "generation"]
    return {image_id: generation for image_id, generation, *_ in lines[1:]}


def test_test_images_are_told_by_generation(trained: Project, trained_twice: Project) -> None:
    """First test images stay in generation 1; metrics are for each generation, next to the base's."""
    first, both = generations(trained), generations(trained_twice)
    assert set(first.values()) == {"1"}
    assert both == {image_id: first.get(image_id, "2") for image_id in trained_twice.ids("test")}
    assert len(both) > len(first)
    metrics, details = (json.loads(trained_twice.read(f"data/report/{name}.json")) for name in ("metrics", "details"))
    old, new = (details["slices"]["generation"][name] for name in "12")
    assert (old["support"], new["support"]) == (len(first), len(both) - len(first))
    assert (details["slices"]["old"], details["slices"]["new"]) == (old, new)
    earlier = json.loads(trained.read("data/report/details.json"))["slices"]["generation"]["1"]
    assert old["base_accuracy"] == pytest.approx(earlier["accuracy"])
    assert metrics["change"]["backward_transfer"] == pytest.approx(old["accuracy"] - earlier["accuracy"])


@pytest.mark.slow
def test_a_changed_column_trains_nothing(second: Project) -> None:
    """A changed column of labels.csv affects only metrics; a forced run changes no byte."""
    lock = second.lock()
    some = [
        path.relative_to(second.root / "data/raw") for path in sorted((second.root / "data/raw").rglob("*.png"))[::2]
    ]
    lines = [f"{path.as_posix()},{path.parent.name},indoors\n" for path in some]
    (second.root / "data/raw/labels.csv").write_text("path,label,place\n" + "".join(lines))
    assert stages_run(second.repro()) == ["ingest", "manifest", "evaluate"]
    assert second.lock()["train"] == lock["train"]
    places = json.loads(second.read("data/report/details.json"))["slices"]["place"]
    assert set(places) == {"(none)", "indoors"}
    assert sum(place["support"] for place in places.values()) == len(second.ids("test"))
    second.commit("where the pictures were taken")
    second.repro("--force", "--single-item", "manifest")
    second.repro("--force", "--single-item", "evaluate")
    assert second.git("status", "--short") == ""


@pytest.mark.slow
def test_lost_slices_are_an_error(first: Project) -> None:
    """If the record of new images is lost, the run stops; a colleague's `dvc push` or a cold start resolves it."""
    shutil.rmtree(first.root / ".dvc/cache")
    shutil.rmtree(first.root.parent / "remote")
    (first.root.parent / "remote").mkdir()
    (first.root / "data/manifest/slices.csv").unlink()
    first.add_digits(120, 130)
    out = first.repro(ok=False)
    assert "manifest: error: data/manifest/slices.csv: " in out
    assert "`pipeline fresh`" in out
    assert "evaluate" not in stages_run(out)
    first.pipeline("fresh")
    assert "train: cold start (`pipeline fresh` asked for a cold start)" in first.repro("train")


def test_old_images_keep_their_split(first: Project) -> None:
    """An image stays in its split, whatever else is added or removed."""
    before = {image_id: split for split in ("train", "val", "test") for image_id in first.ids(split)}
    for path in first.add_digits(0, 30):
        path.unlink()
    first.add_digits(120, 200)
    for stage in ("listing", "ingest", "manifest"):
        first.pipeline("run", stage)
    after = {image_id: split for split in ("train", "val", "test") for image_id in first.ids(split)}
    assert len(after) == 170
    stayed = before.keys() & after.keys()
    assert {image_id: before[image_id] for image_id in stayed} == {image_id: after[image_id] for image_id in stayed}


@pytest.mark.slow
@pytest.mark.parametrize(
    "cache_type", ["copy", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("hardlink", "symlink"))]
)
def test_growing_harms_no_cached_object(first: Project, cache_type: str) -> None:
    """With any link type of DVC, growing data twice does not change any cached object."""
    first.dvc("config", "cache.type", cache_type)
    first.dvc("checkout", "--relink")
    for start in (120, 125):
        first.add_digits(start, start + 5)
        assert "5 new" in first.repro("manifest")
    cache = Path(".dvc/cache/files/md5")
    for name, md5 in first.snapshot(str(cache)).items():
        assert Path(name).relative_to(cache).as_posix().replace("/", "").removesuffix(".dir") == md5


@pytest.mark.slow
def test_damaged_shards_are_mended(first: Project) -> None:
    """A damaged shard is fetched again; if it is not available, its damaged images are decoded again."""
    sound, before = first.lock()["manifest"]["outs"], first.snapshot("data/shards")
    (shard,) = (first.root / "data/shards").glob("*.tar")
    content, (md5,) = bytearray(shard.read_bytes()), before.values()
    content[600] ^= 1
    for is_lost in (False, True):
        shard.unlink()
        shard.write_bytes(content)
        for folder in (".dvc/cache/files/md5", "../remote/files/md5") if is_lost else ():
            (first.root / folder / md5[:2] / md5[2:]).unlink(missing_ok=True)
        out = first.repro("manifest")
        assert ("; 1 damaged shard in data/shards replaced\n" in out) != is_lost
        assert ("1 stored images are damaged: decoding them again" in out) == is_lost
        assert ("120 images, 0 new, 0 removed, 0 refused; 1 decoded" in out) == is_lost
        assert (first.snapshot("data/shards") == before) != is_lost
    assert stages_run(first.repro("manifest")) == []
    assert first.lock()["manifest"]["outs"] == sound
    for shard in (first.root / "data/shards").glob("*.tar"):
        shard.unlink()
    shutil.rmtree(first.root / ".dvc/cache")
    assert "120 decoded" in first.repro("--force", "manifest")
    assert first.lock()["manifest"]["outs"] == sound


@pytest.mark.slow
@pytest.mark.nightly
def test_a_cold_start_is_asked_for_once(second: Project) -> None:
    """`pipeline fresh` makes only the next training a cold start; if it is undone before, nothing changes."""
    before, params = second.lock(), second.read("params.yaml")
    said = second.run("pipeline", "fresh").out
    assert f"the training after {before['train']['outs']['data/model'][:8]}… starts from scratch" in said
    assert len(params.splitlines()) == len(second.read("params.yaml").splitlines())
    assert "base    none: `pipeline fresh` asked for a cold start" in second.run("pipeline", "status").out
    assert "no base: `pipeline fresh` asked for a cold start" in second.repro("manifest")
    (second.root / "params.yaml").write_text(params)
    assert "train" not in stages_run(second.repro())
    assert second.lock()["train"] == before["train"]
    second.run("pipeline", "fresh")
    assert "train: cold start" in second.repro()
    lineage = json.loads(second.read("data/report/lineage.json"))
    assert (lineage["generation"], lineage["start"], lineage["base"]) == (1, "cold", None)
    assert set(json.loads(second.read("data/report/details.json"))["slices"]["generation"]) == {"1"}
    assert not stages_run(second.repro())
    trained = second.lock()["train"]
    second.repro("--force")
    assert second.lock()["train"] == trained
    second.add_digits(160, 180)
    assert "train: warm start" in second.repro()


@pytest.mark.slow
@pytest.mark.nightly
def test_another_function_in_the_same_shapes_is_no_base(first: Project) -> None:
    """A network edited within the same shapes is neither trained from nor evaluated with its old weights."""
    code = first.root / "pipeline/models/network.py"
    code.write_text(code.read_text().replace("nn.ReLU(inplace=True)", "nn.GELU()"))
    first.add_digits(120, 140)
    what, stage = (
        "the code of small no longer computes the function that was trained",
        ("python", "-m", "pipeline", "run", "evaluate"),
    )
    assert f"error: data/base/checkpoint.ckpt: {what}; undo what changed it" in first.repro(ok=False)
    assert f"error: data/model/checkpoint.ckpt: {what}; " in first.run(*stage, ok=False).out
    first.run("pipeline", "fresh")
    assert "train: cold start" in first.repro()


@pytest.mark.slow
def test_a_class_that_vanishes_stops_nothing(first: Project) -> None:
    """A class whose images were all relabelled is reported before; training drops its row, also with a new class."""
    (first.root / "data/raw/digit 9").rename(first.root / "data/raw/nine")
    status = first.run("pipeline", "status").out
    assert "note    without images now, so the next model will not know them: digit 9" in status
    assert "all images of digit 9 are nine now: to keep what the model has learned, run" in status
    assert "run `pipeline classes merge 'digit 9' nine`\n" in status
    out = first.repro()
    assert "train: warm start" in out
    lineage = json.loads(first.read("data/report/lineage.json"))
    assert lineage["reason"].endswith("; without its former classes digit 9")
    assert set(json.loads(first.read("data/report/details.json"))["classes"]) >= {"nine"}
    assert not stages_run(first.repro())


def test_model_without_a_record_is_an_error(first: Project) -> None:
    """If dvc.lock was deleted, an existing model is not overwritten by a training from scratch."""
    (first.root / "dvc.lock").unlink()
    first.add_digits(120, 121)
    out = first.repro(ok=False)
    assert "dvc.lock: no record of the model in data/model; run `git checkout dvc.lock`" in out
