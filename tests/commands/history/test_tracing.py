"""`pipeline trace` lists the generations that have seen an image."""

import hashlib
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT, Project, save_png
from ruamel.yaml import YAML

from pipeline import cli, parquet, paths
from pipeline.commands.history.tracing import _split, advice, trace
from pipeline.errors import ImagesError
from pipeline.images import index
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Recorded
from pipeline.lineage.seen_images import NOTHING, SeenImages, write_seen
from pipeline.text import csv_text

Capture = pytest.CaptureFixture[str]
CACHE = Path(".dvc/cache/files/md5")


def git(*arguments: str) -> str:
    """Run Git, and return its output."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def image_id(text: str) -> str:
    """Return the id of the image whose bytes are `text`."""
    return hashlib.md5(text.encode()).hexdigest()


def cache(content: bytes, suffix: str = "") -> str:
    """Put `content` into DVC's cache, and return its hash."""
    md5 = hashlib.md5(content).hexdigest() + suffix
    path = CACHE / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def cache_folder(folder: Path) -> str:
    """Put the files of `folder` into DVC's cache, and return its hash."""
    files = [{"md5": cache(file.read_bytes()), "relpath": file.name} for file in sorted(folder.iterdir())]
    return cache(json.dumps(files).encode(), ".dir")


class History:
    """A history of generations, one commit each, with only the files that tracing reads."""

    def __init__(self) -> None:
        self.generation = 0
        self.seen = NOTHING
        self.model: str | None = None

    def train(
        self, labels: dict[str, str], *, val: tuple[str, ...] = (), base: tuple[SeenImages, str | None] | None = None
    ) -> str:
        """Commit a training on images with these bytes and labels, and return the model."""
        before, self.model = base or (self.seen, self.model)
        self.generation += 1
        self.seen = before.then(pd.Series({image_id(text): label for text, label in labels.items()}, dtype=str))
        shutil.rmtree(paths.MODEL, ignore_errors=True)
        paths.MODEL.mkdir(parents=True)
        write_seen(self.seen, paths.MODEL)
        (paths.MODEL / "generation").write_text(str(self.generation))
        stored = paths.IMAGES.with_name("stored")
        stored.mkdir(exist_ok=True)
        empty = {"shard": 0, "offset": 0, "length": 0, "width": 1, "height": 1, "descriptor": bytes(64)}
        rows = [
            {"id": image_id(text), "label": label, "source": f"{label}/{text}.png", "md5": "", "key": "", **empty}
            for text, label in labels.items()
        ]
        parquet.write_tables({stored / index.INDEX.name: pa.Table.from_pylist(rows, index.SCHEMA)})
        manifest = "".join(["id,label,md5\n", *(f"{image_id(text)},x,x\n" for text in val)])
        outs = {"data/images": cache_folder(stored), "data/manifest/val.csv": cache(manifest.encode())}
        base_model, self.model = self.model, cache_folder(paths.MODEL)
        outs["data/model"] = self.model
        entries = [{"path": path, "md5": md5} for path, md5 in outs.items()]
        YAML().dump({"schema": "2.0", "stages": {"train": {"cmd": "x", "outs": entries}}}, paths.LOCK)
        self.record(base_model)
        git("add", str(paths.LOCK), str(RECORDED))
        git("commit", "--quiet", "--message", f"generation {self.generation}")
        return self.model

    def record(self, base: str | None) -> None:
        """Write what evaluate would write."""
        assert self.model is not None
        recorded = Recorded(
            generation=self.generation,
            start="warm" if base else "cold",
            reason="",
            base=base,
            images=ImageCounts(total=1, new=1, removed=0, relabelled=0),
            epochs=Epochs(run=1, total=1),
            steps=Budget(run=1, total=1),
            model=self.model,
        )
        RECORDED.parent.mkdir(parents=True, exist_ok=True)
        RECORDED.write_text(recorded.model_dump_json())


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Make a Git and DVC repository without any training."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    Path(".dvc").mkdir()
    Path(".dvc/config").touch()
    shutil.copy(ROOT / paths.PARAMS, paths.PARAMS)
    git("add", ".dvc", str(paths.PARAMS))
    return History()


def hows(image: str) -> list[str]:
    """Return the relation of each generation to `image`, oldest first."""
    return [one.how for one in trace(image).sightings]


def test_seen_held_out_and_forgotten(history: History) -> None:
    """An image is traced from being held out, over training, to being known only through the base."""
    history.train({"a": "cat"}, val=("x",))
    history.train({"a": "cat", "x": "dog"})
    history.train({"a": "cat", "x": "cow"})
    history.train({"a": "cat"})
    found = trace(image_id("x"))
    assert [one.how for one in found.sightings] == ["held out", "trained on it", "trained on it", "through its base"]
    assert [one.label for one in found.sightings] == [None, "dog", "cow", None]
    assert [one.split for one in found.sightings] == ["val", None, None, None]
    assert hows(image_id("a")) == ["trained on it"] * 4
    assert hows(image_id("never")) == ["unseen"] * 4


def test_held_out_or_not_is_unknown(history: History, capsys: Capture) -> None:
    """A lost manifest of the past is reported; for an uncommitted model the workspace's manifest is used."""
    history.train({"a": "cat"}, val=("x",))
    history.train({"a": "cat"}, val=("y",))
    git("reset", "--quiet", "--soft", "HEAD^")
    (_, newest) = trace(image_id("y")).sightings
    assert (newest.how, newest.split, newest.model.training) == ("held out", "val", None)
    manifest = hashlib.md5(f"id,label,md5\n{image_id('x')},x,x\n".encode()).hexdigest()
    (CACHE / manifest[:2] / manifest[2:]).unlink()
    first, newest = trace(image_id("x")).sightings
    assert (first.how, newest.how, newest.trouble) == ("unseen", "unseen", "")
    assert first.trouble.startswith("not trained on, perhaps held out: val of generation 1 (")
    assert cli.main(["trace", image_id("x")]) == 1
    assert "perhaps held out" in capsys.readouterr().err


def test_every_branch(history: History) -> None:
    """Models on other branches, and an uncommitted model, are included."""
    history.train({"a": "cat"})
    before = (history.seen, history.model)
    git("checkout", "--quiet", "-b", "other")
    history.train({"a": "cat", "x": "dog"})
    git("checkout", "--quiet", "main")
    history.train({"b": "cat"}, base=before)
    assert sorted(hows(image_id("x"))) == ["trained on it", "unseen", "unseen"]
    history.train({"b": "cat", "x": "dog"})
    git("reset", "--quiet", "--soft", "HEAD^")
    found = trace(image_id("x"))
    assert found.sightings[-1].how == "trained on it"
    assert found.sightings[-1].model.training is None


def test_names(history: History, tmp_path: Path) -> None:
    """A file, an id in upper or lower case, a prefix of it, and a source in an old index all name the same image."""
    history.train({"a": "cat", "x": "dog"})
    history.train({"a": "cat"})
    (tmp_path / "any name").write_text("x")
    wanted = image_id("x")
    for name in ("any name", wanted, wanted.upper(), wanted[:8], "dog/x.png", "data/raw/dog/x.png"):
        assert trace(name).id == wanted
    for name in ("dog/y.png", "", wanted[:7], "*", "00000000"):
        with pytest.raises(ImagesError):
            trace(name)


def test_one_image_at_a_time(history: History) -> None:
    """A folder or an archive is an error that suggests an image in it; an unknown name is another error."""
    history.train({"a": "cat"})
    (paths.RAW / "cat").mkdir(parents=True, exist_ok=True)
    for name in "ab":
        save_png(np.full((4, 4), ord(name)), paths.RAW / f"cat/{name}.png")
    with zipfile.ZipFile(paths.RAW / "more.zip", "w") as archive:
        archive.write(paths.RAW / "cat/a.png", "dog/c.png")
    for name in ("cat", "data/raw/cat", "data/raw/cat/"):
        with pytest.raises(
            ImagesError, match=r"holds 2 images of data/raw; give one image, such as data/raw/cat/a.png"
        ):
            trace(name)
    with pytest.raises(
        ImagesError, match=r"holds 1 image of data/raw; give one image, such as data/raw/more.zip!/dog/c.png"
    ):
        trace("data/raw/more.zip")
    with pytest.raises(ImagesError, match=r"holds 3 images of data/raw; give one image, such as data/raw/"):
        trace("data/raw")
    Path("elsewhere").mkdir()
    with pytest.raises(ImagesError, match=r"holds 0 images of data/raw; give one image of data/raw"):
        trace("elsewhere")


def test_several_images_of_one_beginning(history: History) -> None:
    """A prefix that several known ids share is an error; with one more digit it is unique."""
    ids = ["0123456789ab" + digit * 20 for digit in "cd"]
    labels = pd.Series(dict.fromkeys(ids, "cat"), dtype=str)
    history.train({"a": "cat"}, base=(NOTHING.then(labels), None))
    with pytest.raises(ImagesError, match="the ids of 2 known images begin with it; give more digits"):
        trace("0123456789ab")
    assert trace("0123456789abd").id == ids[1]


def test_advice(history: History) -> None:
    """The advice starts from the newest ancestor that has not seen the image, and is given only if it helps."""
    first = history.train({"a": "cat"})
    history.train({"a": "cat", "x": "dog"})
    third = history.train({"a": "cat", "y": "dog"})
    assert "generation 1 (" in advice(trace(image_id("x")))
    assert "generation 2 (" in advice(trace(image_id("y")))
    assert "from scratch, since every ancestor" in advice(trace(image_id("a")))
    assert "pipeline remove" not in advice(trace(image_id("x")))
    assert advice(trace(image_id("z"))) == ""
    (paths.RAW / "dog").mkdir(parents=True)
    (paths.RAW / "dog/new.png").write_text("x")
    found = trace("dog/new.png")
    assert found.places == ["dog/new.png"]
    assert f"`pipeline remove {image_id('x')}`" in advice(found)
    for lost in (first, third):
        (CACHE / lost[:2] / lost[2:]).unlink()
    assert "which is unknown" not in advice(trace(image_id("y")))
    assert advice(trace(image_id("x"))) == ""  # Nothing is known about the currently recorded model.


def test_ancestors_that_cannot_be_had(history: History) -> None:
    """If the ancestor to start from is unknown, the advice says so."""
    first = history.train({"a": "cat"})
    history.train({"a": "cat", "x": "dog"})
    (CACHE / first[:2] / first[2:]).unlink()
    assert advice(trace(image_id("x"))).endswith("from the newest ancestor that has not seen it, which is unknown")


def test_what_cannot_be_had_is_unknown(history: History, capsys: Capture) -> None:
    """An unavailable model is listed as unknown, with what to fetch, and affects the exit status."""
    history.train({"a": "cat", "x": "dog"})
    second = history.train({"a": "cat"})
    assert cli.main(["trace", image_id("x")]) == 0
    assert "2 of 2 generations have seen it\n" in capsys.readouterr().out
    shutil.rmtree(CACHE / second[:2])
    assert cli.main(["trace", image_id("x")]) == 1
    said = capsys.readouterr()
    assert "1 of 2 generations have seen it; of 1 it is unknown" in said.out
    assert len(said.err.splitlines()) == 1
    assert "dvc fetch --all-commits" in said.err
    assert second in said.err


def test_only_what_is_needed_is_fetched(history: History, tmp_path: Path) -> None:
    """From a remote only the list of images that a model has seen is fetched; a damaged copy is fetched again."""
    model = history.train({"a": "cat", "x": "dog"})
    CACHE.rename(tmp_path / "remote")
    (tmp_path / "elsewhere/files").mkdir(parents=True)
    (tmp_path / "remote").rename(tmp_path / "elsewhere/files/md5")
    Path(".dvc/config").write_text("[core]\n    remote = far\n['remote \"far\"']\n    url = ../elsewhere\n")
    assert hows(image_id("x")) == ["trained on it"]
    listed = {one["relpath"]: one["md5"] for one in json.loads((CACHE / model[:2] / model[2:]).read_text())}
    there = {name: (CACHE / md5[:2] / md5[2:]) for name, md5 in listed.items()}
    assert {name for name, path in there.items() if path.exists()} == {"seen.npz"}
    there["seen.npz"].chmod(0o644)
    there["seen.npz"].write_text("damaged")
    assert hows(image_id("x")) == ["trained on it"]


def test_what_holds_it(history: History, capsys: Capture) -> None:
    """The file itself is found by its hash; versions of data/images that are not in the cache count as unknown."""
    history.train({"a": "cat", "x": "dog"})
    file = cache(b"x")
    assert cli.main(["trace", image_id("x")]) == 0
    said = capsys.readouterr().out
    assert f"data/raw: the file itself  {file[:8]}" in said
    assert "To erase its bytes: `dvc gc -w -c`, after which earlier generations are not available" in said
    assert "unknown, since" not in said
    lock = YAML(typ="safe").load(paths.LOCK)["stages"]["train"]["outs"]
    (images,) = (entry["md5"] for entry in lock if entry["path"] == "data/images")
    (CACHE / images[:2] / images[2:]).unlink()
    assert cli.main(["trace", image_id("a")]) == 0
    said = capsys.readouterr().out
    assert "unknown, since the cache lacks its index: 1 recorded version of data/images" in said
    assert "its bytes are in" not in said


def test_remote_that_is_away(history: History, capsys: Capture) -> None:
    """If the remote cannot be reached, its content is reported as unknown, also by the exit status."""
    history.train({"a": "cat", "x": "dog"})
    cache(b"x")
    Path(".dvc/config").write_text("[core]\n    remote = far\n['remote \"far\"']\n    url = ../nowhere\n")
    assert cli.main(["trace", image_id("x")]) == 1
    said = capsys.readouterr()
    assert "data/raw: the file itself" in said.out
    (trouble,) = said.err.splitlines()
    assert "no such folder" in trouble


def test_left_out_under_an_odd_name(tmp_path: Path) -> None:
    """A line of leaks.csv is found whatever the lines before it contain."""
    rows = [("id", "label", "split", "source"), ("1", "cat", "val", "a\rb\u2028c\n.png"), ("2", "cat", "test", "d.png")]
    (tmp_path / "leaks.csv").write_text(csv_text(rows), encoding="utf-8")
    manifests = {"leaks": tmp_path / "leaks.csv"}
    assert [_split(manifests, one) for one in "123"] == ["val, but left out", "test, but left out", None]


def test_json_and_odd_names(history: History, capsys: Capture) -> None:
    """JSON contains everything; output to a terminal contains no control characters."""
    history.train({"a": "cat", "x": "dog\x1b[31m"})
    assert cli.main(["trace", image_id("x"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["places"], told["split"]) == (image_id("x"), [], None)
    (one,) = told["sightings"]
    assert (one["generation"], one["how"], one["label"], one["model"]) == (
        1,
        "trained on it",
        "dog\x1b[31m",
        history.model,
    )
    assert one["commit"] == git("rev-parse", "HEAD")
    assert cli.main(["trace", image_id("x")]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_shallow(history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """In a shallow clone, a message says that generations may be missing."""
    history.train({"a": "cat", "x": "dog"})
    history.train({"a": "cat"})
    git("clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(tmp_path / "clone"))
    (tmp_path / "clone/.dvc/config").write_text(f"[cache]\n    dir = {tmp_path / '.dvc/cache'}\n")
    monkeypatch.chdir(tmp_path / "clone")
    assert cli.main(["trace", image_id("x")]) == 1
    said = capsys.readouterr()
    assert "1 of 1 generations have seen it" in said.out
    assert "git fetch --unshallow" in said.err


@pytest.mark.slow
@pytest.mark.nightly
def test_a_removed_image_is_trained_away(make_project: Callable[[Path], Project], tmp_path: Path) -> None:
    """With `on_removed: ancestor` the next generation starts from the newest model that has not seen that image."""
    project = make_project(tmp_path / "project")
    project.set_params(manifest={"on_removed": "ancestor"})
    models = []
    for generation, (start, stop) in enumerate([(0, 120), (120, 150), (150, 180)], start=1):
        project.add_digits(start, stop)
        if generation == 1:
            project.dvc("add", "--quiet", "data/raw")
        project.repro()
        project.commit(f"generation {generation}")
        models.append(project.lock()["train"]["outs"]["data/model"])
    new = sorted(path.relative_to(project.root) for path in (project.root / "data/raw").rglob("01[2-4]?.png"))
    known = set(project.ids("train"))
    image = next(
        path for path in new if hashlib.md5((project.root / path).read_bytes()).hexdigest() in known
    ).as_posix()
    wanted = hashlib.md5((project.root / image).read_bytes()).hexdigest()
    assert "from generation 1 (" in project.run("python", "-m", "pipeline", "trace", image).out
    project.run("python", "-m", "pipeline", "remove", wanted)
    assert f"train: warm start from {models[0][:8]}…, generation 2" in project.repro()
    project.commit("without it")
    told = json.loads(project.run("python", "-m", "pipeline", "trace", wanted, "--json").out)
    expected = ["unseen", "trained on it", "trained on it", "unseen"]
    assert [one["how"] for one in told["sightings"]] == expected
    assert (told["places"], told["advice"]) == ([], "")
    assert project.lock()["train"]["deps"]["data/base"] == models[0]
