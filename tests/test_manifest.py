"""The stage `manifest`: splits without leaks, and the changes since the base was trained."""

import csv
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline import manifest, paths
from pipeline.errors import ImagesError, MissingDataError
from pipeline.images import index
from pipeline.lineage import selection
from pipeline.lineage.base import Base
from pipeline.lineage.lineage import Budget, Epochs, ImageCounts, Lineage, write_lineage
from pipeline.lineage.seen_images import NOTHING, SeenImages, write_seen
from pipeline.params import Params, read_params
from pipeline.splits.assignment import split_of
from pipeline.splits.changes import list_changes

HEADERS = {
    "review.csv": ["id", "label", "md5", "split", "source", "like_id", "like_label", "like_source"],
    "leaks.csv": ["id", "label", "split", "source", "like", "like_source"],
    "changes.csv": ["change", "id", "label", "before"],
    "moved.csv": ["id", "label", "source", "group", "before", "after"],
    "slices.csv": ["id", "generation"],
    "train.csv": ["id", "label", "md5"],
}
NOTHING_SEEN, NO_STEPS = ImageCounts(total=0, new=0, removed=0, relabelled=0), Budget(run=0, total=0)
LINEAGE = Lineage(
    generation=3,
    start="warm",
    reason="",
    base="b.dir",
    images=NOTHING_SEEN,
    epochs=Epochs(run=0, total=0),
    steps=NO_STEPS,
)


class Made(NamedTuple):
    """A synthetic image."""

    id: str
    label: str
    key: str
    descriptor: bytes
    attributes: str = ""
    odd: str = ""
    """An addition to the file's name."""


def digest(text: str) -> str:
    """Return an id for `text`."""
    return md5(text.encode()).hexdigest()


def shows(number: int) -> bytes:
    """Return the descriptor of an image that resembles no other."""
    row = np.random.default_rng(number).integers(-60, 60, 64).astype(np.int8)
    row[:2] = 6, 0
    return row.tobytes()


def keys(split: str, params: Params) -> Iterator[str]:
    """Yield keys of images in `split`, without end."""
    number = 0
    while True:
        key = digest(f"key {number}")[:16]
        if split_of(key, params.manifest) == split:
            yield key
        number += 1


def images(split: str, count: int, *, first: int = 0) -> list[Made]:
    """Return `count` images in `split`, in two classes, that resemble only images of the same numbers."""
    some = zip(range(first, first + count), keys(split, read_params()), strict=False)
    return [Made(digest(f"{split} {n}"), "cat" if n % 2 else "dog", key, shows(n)) for n, key in some]


def source(image: Made) -> str:
    """Return the source of an image."""
    return f"{image.label}/{image.id[:4]}{image.odd}.png"


def write(made: list[Made]) -> None:
    """Write an index of `made`."""
    columns = {name: [image[column] for image in made] for column, name in enumerate(Made._fields)}
    columns["source"] = [source(image) for image in made]
    columns["md5"] = [digest(image.id) for image in made]
    whole = [0] * len(made)
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: columns.get(name, whole) for name in index.SCHEMA.names}, index.SCHEMA), index.INDEX)


def run(made: list[Made]) -> str:
    """Run the stage on `made`, and return its output."""
    write(made)
    return manifest.manifest(read_params()).summary


def lines(name: str) -> list[list[str]]:
    """Return the lines of a file in data/manifest after its header."""
    with (paths.MANIFEST / name).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == HEADERS.get(name, HEADERS["train.csv"])
    return rows


def ids(name: str) -> list[str]:
    """Return the ids in a manifest."""
    return [row[0] for row in lines(f"{name}.csv")]


def snapshot() -> dict[str, bytes]:
    """Return the content of data/manifest."""
    return {path.name: path.read_bytes() for path in paths.MANIFEST.iterdir()}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Callable[[SeenImages], None]:
    """Return a function that makes the base a model trained on given images."""

    def make(seen: SeenImages) -> None:
        def settle(_aside: Path, _params: Params, admits: Callable[[Path], bool]) -> Base:
            paths.BASE.mkdir(parents=True, exist_ok=True)
            write_seen(seen, paths.BASE)
            write_lineage(LINEAGE, paths.BASE)
            return Base(oid="f" * 32 if admits(paths.BASE) else None, reason="")

        monkeypatch.setattr(selection, "settle", settle)

    return make


def test_without_leaks() -> None:
    """Without similar images every image is in its split, and the lists are empty."""
    made = images("train", 10) + images("val", 5, first=10) + images("test", 4, first=20)
    said = run(made[::-1])
    assert said.startswith("10 train, 5 val, 4 test, 2 classes; 10 new to training, 0 removed, 0 relabelled; no base")
    assert {name: len(ids(name)) for name in ("train", "val", "test")} == {"train": 10, "val": 5, "test": 4}
    assert (
        snapshot().keys() == {*manifest.FILES} == HEADERS.keys() | {"val.csv", "test.csv", "merged.csv", "classes.csv"}
    )
    assert (paths.MANIFEST / "leaks.csv").read_bytes() == b"id,label,split,source,like,like_source\n"
    assert (paths.MANIFEST / "changes.csv").read_bytes() == b"change,id,label,before\n"


def grouped(group: str) -> None:
    """Set the param for groups."""
    paths.PARAMS.write_text(re.sub("    group: .*", f"    group: {group}", paths.PARAMS.read_text()))


def test_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """Groups and images without a group are counted; no group at all, and an empty split, are warnings."""
    made = [one._replace(attributes=f'{{"group": "p{at % 3}"}}') for at, one in enumerate(images("train", 30))]
    grouped("labels")
    said = run([*made, *images("train", 3, first=30), *images("val", 1, first=40)])
    assert "2 classes, 3 groups (4 images without one); " in said
    assert capsys.readouterr().out == ("manifest: warning: no image is for test: 3 groups are few for a share of 0.1\n")
    grouped("folder")
    assert "2 classes, 0 groups (30 images without one); " in run(made)
    assert capsys.readouterr().out.startswith(
        "manifest: warning: no image has a group by manifest.split.group (folder): each is drawn by itself\n"
    )


def test_class_that_is_not_trained(capsys: pytest.CaptureFixture[str]) -> None:
    """All images of a class that is not trained are held out, and the model never predicts it."""
    alone = [one._replace(label="emu") for one in images("val", 1, first=10)]
    run(images("train", 10) + alone)
    what = "manifest: warning: no image of 1 class ('emu') is for training, so the model cannot know it: add images\n"
    assert capsys.readouterr().out == what
    run(images("train", 10) + images("val", 1, first=10))
    assert capsys.readouterr().out == ""


def test_one_group_of_all() -> None:
    """One group of all images leaves a split empty; the error names the param if groups are the reason."""
    made = [one._replace(label="cat") for one in images("train", 4)]
    grouped("re:cat")
    with pytest.raises(ImagesError, match=r"or make the groups of manifest\.split\.group \(re:cat\) smaller"):
        run(made)


def test_leaks_are_left_out_and_listed() -> None:
    """Val and test images similar to train, and test images similar to val, are in leaks.csv only."""
    train, val, test = images("train", 10), images("val", 4, first=7), images("test", 8, first=9)
    val[1] = val[1]._replace(odd='\r\n"')
    train[9] = train[9]._replace(odd="\r")
    said = run(train + val + test)
    # Numbers 7 to 9 are also in train, 10 is in val and test, the others occur once.
    assert said.startswith(
        "10 train, 1 val, 6 test, 2 classes, 5 left out as near-duplicates (data/manifest/leaks.csv); "
    )
    assert ids("train") == sorted(image.id for image in train)
    assert ids("val") == [val[3].id]
    assert ids("test") == sorted(image.id for image in test[2:])
    pairs = [("val", val[0], train[7]), ("val", val[1], train[8]), ("val", val[2], train[9])]
    pairs += [("test", test[0], train[9]), ("test", test[1], val[3])]
    expected = [[one.id, one.label, split, source(one), like.id, source(like)] for split, one, like in pairs]
    assert lines("leaks.csv") == sorted(expected)


def test_a_left_out_val_image_keeps_no_test_image_out() -> None:
    """A val image that is left out does not affect test, so a similar test image is kept."""
    row = np.frombuffer(shows(0), np.int8).copy()
    step, two = row.copy(), row.copy()
    step[2:] += 2  # Near both images, which are not near each other.
    two[2:] += 4
    train = images("train", 4, first=100)
    train[0] = train[0]._replace(descriptor=row.tobytes())
    val = images("val", 1)[0]._replace(descriptor=step.tobytes())
    test = images("test", 1)[0]._replace(descriptor=two.tobytes())
    run([*train, val, test])
    assert (ids("val"), ids("test")) == ([], [test.id])


def test_a_copy_in_train_takes_an_image_out_of_test_and_never_into_train() -> None:
    """As images come and go, a test image is in test or left out, and train does not change."""
    train, test = images("train", 10), images("test", 5, first=20)
    copy = images("train", 12)[-1]._replace(descriptor=test[0].descriptor)
    run(train + test)
    before = snapshot()
    assert "1 left out" in run([*train, copy, *test])
    assert ids("test") == sorted(image.id for image in test[1:])
    assert ids("train") == sorted(image.id for image in [*train, copy])
    run(train + test)
    assert snapshot() == before


def test_left_out_images_are_held_out(trained: Callable[[SeenImages], None]) -> None:
    """A base that was trained on an image that is now left out is not used."""
    train, test = images("train", 10), images("test", 1)
    labels = pd.Series({image.id: image.label for image in train}, dtype=str)
    trained(NOTHING.then(labels))
    assert "1 left out" in (said := run(train + test))
    assert said.endswith("base ffffffff…")
    trained(SeenImages(labels=labels, earlier=pd.Index([test[0].id], dtype=str)))
    assert "no base" in run(train + test)


@pytest.mark.parametrize("on_removed", ["keep", "ancestor"])
def test_removed_images(trained: Callable[[SeenImages], None], on_removed: str) -> None:
    """A base that was trained on a removed image is used, unless params.yaml says otherwise."""
    params = paths.PARAMS.read_text().replace("on_removed: keep", f"on_removed: {on_removed}")
    paths.PARAMS.write_text(params)
    train = images("train", 10)
    trained(NOTHING.then(pd.Series({image.id: image.label for image in train}, dtype=str)))
    assert ("no base" in run(train[1:])) == (on_removed == "ancestor")


def test_changed_classes(trained: Callable[[SeenImages], None]) -> None:
    """A renamed or merged class relabels no image; the changes of the base's classes are listed for training."""
    train = images("train", 10)
    dogs = iter(["dog", "hound"] * 5)
    labels = {image.id: "old cat" if image.label == "cat" else next(dogs) for image in train}
    trained(NOTHING.then(pd.Series(labels, dtype=str)))
    paths.DATA.mkdir()
    paths.CLASSES.write_text("old,new\nold cat,cat\nhound,dog\nother,dog\n")
    said = run(train)
    assert "0 new to training, 0 removed, 0 relabelled; classes: dog and hound merged into dog, old cat renamed" in said
    assert (paths.MANIFEST / "classes.csv").read_text() == "was,now\ndog,dog\nhound,dog\nold cat,cat\n"
    assert (paths.MANIFEST / "changes.csv").read_bytes() == b"change,id,label,before\n"


def test_dropped_images_are_not_removed(trained: Callable[[SeenImages], None]) -> None:
    """With `ancestor`, a base that knows images of a dropped class is used: they are still in data/raw."""
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("on_removed: keep", "on_removed: ancestor"))
    train = images("train", 10)
    trained(NOTHING.then(pd.Series({image.id: image.label for image in train}, dtype=str)))
    write(train[1:])
    paths.REFUSED.write_text(f"source,id,reason,detail\na.png,{train[0].id},dropped class,\n")
    assert "1 removed" in (said := run(train[1:]))
    assert "no base" not in said


def test_same_images_give_the_same_bytes() -> None:
    """The files depend only on the images, not on their order in the index."""
    made = images("train", 30) + images("val", 8, first=25) + images("test", 20, first=25)
    run(made)
    before = snapshot()
    run(made[::-1])
    assert snapshot() == before
    assert before["train.csv"].startswith(b"id,label,md5\n")
    assert b"\r" not in b"".join(before.values())


@pytest.mark.parametrize("label", ["a,b", 'say "x"', "é", "two\nlines", " ", "NA", "'", '"'])
def test_any_label_can_be_read_back(label: str) -> None:
    """Any label can be read back from the manifests."""
    made = [image._replace(label=label if image.label == "cat" else image.label) for image in images("train", 4)]
    run(made)
    assert [row[1] for row in lines("train.csv")] == [image.label for image in sorted(made)]
    frame = pd.read_csv(paths.MANIFEST / "train.csv", dtype=str, keep_default_na=False)
    assert frame["label"].tolist() == [image.label for image in sorted(made)]


def test_plain_labels_are_written_plainly() -> None:
    """The manifests have the same bytes as from pandas, with which earlier versions wrote them."""
    made = [image._replace(label=f'{image.label}, "é"') for image in images("train", 6)]
    run(made)
    rows = [(image.id, image.label, digest(image.id)) for image in sorted(made)]
    pd.DataFrame(rows, columns=HEADERS["train.csv"]).to_csv("expected.csv", index=False, lineterminator="\n")
    assert (paths.MANIFEST / "train.csv").read_bytes() == Path("expected.csv").read_bytes()


def test_changes(trained: Callable[[SeenImages], None]) -> None:
    """New, removed and relabelled images, and new and removed classes, each have a line."""
    a, b, c, d, e = sorted(images("train", 5))
    trained(NOTHING.then(pd.Series({e.id: "cat", b.id: "dog", c.id: "dog", a.id: "emu"}, dtype=str)))
    held_out = images("test", 1, first=50)[0]._replace(label="yak")
    made = [
        b._replace(label="dog"),
        c._replace(label="cat"),
        d._replace(label="fox"),
        e._replace(label="cat"),
        held_out,
    ]
    said = run(made)
    assert said.endswith("; 1 new to training, 1 removed, 1 relabelled, 1 new class; base ffffffff…")
    assert lines("changes.csv") == [
        ["added", d.id, "fox", ""],
        ["new class", "", "fox", ""],
        ["relabelled", c.id, "cat", "dog"],
        ["removed", a.id, "emu", ""],
        ["vanished class", "", "emu", ""],
    ]


def test_no_changes(trained: Callable[[SeenImages], None]) -> None:
    """A base's own training set has no changes."""
    train = images("train", 10)
    trained(NOTHING.then(pd.Series({image.id: image.label for image in train}, dtype=str)))
    assert "0 new to training, 0 removed, 0 relabelled; base" in run(train)
    assert lines("changes.csv") == []


def test_changes_agree_with_the_counts() -> None:
    """The number of lines equals the counts, sorted by change and id, for any order of images."""
    random = np.random.default_rng(0)
    names = np.array([digest(str(number)) for number in range(300)])
    before, now = (
        pd.Series(random.choice(["cat", "dog", "emu"], 200), index=random.permutation(names)[:200], dtype=str)
        for _ in range(2)
    )
    table = list_changes(NOTHING.then(before), now).to_pandas()
    counts = NOTHING.then(before).compare(now)
    assert table["change"].value_counts().to_dict() == {
        "added": counts.new,
        "removed": counts.removed,
        "relabelled": counts.relabelled,
    }
    assert table.equals(table.sort_values(["change", "id"], ignore_index=True))
    relabelled = table[table["change"] == "relabelled"].set_index("id")
    assert relabelled["label"].to_dict() == now[relabelled.index].to_dict()
    assert relabelled["before"].to_dict() == before[relabelled.index].to_dict()


def test_slices_without_a_base() -> None:
    """Without a base, all test images are of generation 1, with their columns of labels.csv."""
    train, test = images("train", 10), images("test", 6, first=20)
    test[2] = test[2]._replace(attributes='{"camera": "x, y"}')
    leak = images("test", 8, first=20)[-1]._replace(descriptor=train[0].descriptor)
    run([*train[1:], train[0]._replace(attributes='{"site": "not of a test image"}'), *test, leak])
    with (paths.MANIFEST / "slices.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "generation", "camera"]
    assert rows == [[one.id, "1", "x, y" if one is test[2] else ""] for one in sorted(test)]


def test_slices_grow_with_the_generations(trained: Callable[[SeenImages], None]) -> None:
    """Recorded generations are kept; new test images are of the generation after the base's, here 4."""
    train, test = images("train", 10), images("test", 6, first=20)
    run(train + test[:2])
    content = (paths.MANIFEST / "slices.csv").read_bytes()
    outs = [{"path": "data/manifest/slices.csv", "md5": md5(content).hexdigest()}]
    YAML().dump({"schema": "2.0", "stages": {"manifest": {"cmd": "manifest", "outs": outs}}}, paths.LOCK)
    trained(NOTHING.then(pd.Series({image.id: image.label for image in train}, dtype=str)))
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["dvc", "init", "--quiet"], check=True)
    run(train + test)
    old = {image.id for image in test[:2]}
    expected = [[image.id, "1" if image.id in old else "4"] for image in sorted(test)]
    assert lines("slices.csv") == expected
    (paths.MANIFEST / "slices.csv").write_bytes(content)
    run(train + test)
    assert lines("slices.csv") == expected
    (paths.MANIFEST / "slices.csv").unlink()
    before = snapshot()
    with pytest.raises(MissingDataError, match=r"slices\.csv"):
        run(train + test + images("test", 9, first=20)[6:])
    assert snapshot() == before


def test_a_lost_base_replaces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the base is not available, data/manifest does not change."""
    run(images("train", 10))
    before = snapshot()

    def lost(*_: object) -> Base:
        raise MissingDataError("data/model", "lost", "find it")

    monkeypatch.setattr(selection, "settle", lost)
    with pytest.raises(MissingDataError):
        run(images("train", 12))
    assert snapshot() == before


def test_files_are_replaced_and_never_written_into() -> None:
    """If a file is a link into DVC's cache, the cached file does not change."""
    run(images("train", 10))
    before = snapshot()
    for name in before:
        Path(f"kept-{name}").hardlink_to(paths.MANIFEST / name)
    run(images("train", 12) + images("test", 2))
    assert {name: Path(f"kept-{name}").read_bytes() for name in before} == before
    assert snapshot()["train.csv"] != before["train.csv"]
    assert not (paths.PROGRESS / "manifest").exists()


def test_one_class_is_an_error() -> None:
    """With fewer than two classes for training, nothing is written."""
    with pytest.raises(ImagesError, match="two classes"):
        run([image._replace(label="cat") for image in images("train", 4)] + images("test", 4, first=10))
    assert not paths.MANIFEST.exists()
