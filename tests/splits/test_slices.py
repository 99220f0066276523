"""slices.csv contains the generation of each test image, from the last record, and its columns of labels.csv."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.errors import ImagesError, MissingDataError
from pipeline.splits.slices import NO_GENERATIONS, PATH, read_slices, recorded_generations, slices_of

RECORDED = "id,generation,camera\na,1,x\nb,3,\n"
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5)


def images(*ids: str, **attributes: str) -> pd.DataFrame:
    """Return test images, some with a camera."""
    return pd.DataFrame(
        {
            "id": ids,
            "attributes": [json.dumps({"camera": attributes[one]}) if one in attributes else "" for one in ids],
        },
        dtype=str,
    )


def known(**generations: int) -> "pd.Series[int]":
    """Return generations by id."""
    return pd.Series(generations).astype(int)


def record(text: str | None) -> None:
    """Write a dvc.lock in which slices.csv, as output of `manifest`, has the content `text`, or is missing."""
    outs = [{"path": PATH.as_posix(), "md5": hashlib.md5(text.encode()).hexdigest()}] if text is not None else []
    YAML().dump({"schema": "2.0", "stages": {"manifest": {"cmd": "manifest", "outs": outs}}}, paths.LOCK)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DVC repository with slices.csv in the workspace and in the cache. Tests copy it."""
    root = tmp_path_factory.mktemp("slices") / "repo"
    (root / PATH).parent.mkdir(parents=True)
    (root / PATH).write_text(RECORDED)
    for command in ("git init --quiet", "dvc init --quiet", f"dvc add --quiet {PATH}"):
        subprocess.run(command.split(), cwd=root, check=True)
    return root


@pytest.fixture
def _repo(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a copy of it the working directory, with a dvc.lock that records slices.csv."""
    shutil.copytree(cached, tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    record(RECORDED)


def test_known_images_keep_their_generation_and_new_ones_get_this() -> None:
    """Known images keep their generation, and new ones get the current one, in the order of the test images."""
    slices = slices_of(images("a", "b", "c"), known(z=1, c=2, a=1), 4)
    assert slices.columns.tolist() == ["id", "generation"]
    assert slices["id"].tolist() == ["a", "b", "c"]
    assert slices["generation"].tolist() == [1, 4, 2]


def test_without_a_base_all_are_of_the_first_generation() -> None:
    """A cold start restarts the generations."""
    assert slices_of(images("a", "b"), known(a=5), 1)["generation"].tolist() == [1, 1]
    assert slices_of(images("a", "b"), NO_GENERATIONS, 1)["generation"].tolist() == [1, 1]


def test_later_generations_are_news_to_an_older_base() -> None:
    """If training starts from an older model, images that its descendants met are new to it."""
    assert slices_of(images("a", "b", "c"), known(a=1, b=3, c=5), 3)["generation"].tolist() == [1, 3, 3]


def test_columns_are_those_of_labels_csv() -> None:
    """Images without a line in labels.csv have empty cells; columns are sorted."""
    made = images("a", "b", "c", a="x")
    made.loc[2, "attributes"] = json.dumps({"zoo": "Köln", "camera": "y"})
    slices = slices_of(made, NO_GENERATIONS, 1)
    assert slices.columns.tolist() == ["id", "generation", "camera", "zoo"]
    assert slices[["camera", "zoo"]].to_numpy().tolist() == [["x", ""], ["", ""], ["y", "Köln"]]


def test_no_test_images() -> None:
    """Without test images the file has only a header."""
    slices = slices_of(images(), known(a=1), 2)
    assert slices.to_csv(index=False) == "id,generation\n"


@settings(max_examples=40)
@given(
    st.lists(st.dictionaries(texts.filter(lambda name: name not in ("id", "generation", "")), texts)),
    st.dictionaries(st.integers(0, 9), st.integers(1, 4)),
    st.integers(1, 4),
)
def test_the_same_again_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, attributes: list[dict[str, str]], before: dict[int, int], generation: int
) -> None:
    """After writing, recording and reading, the same file is written, for any columns and values."""
    ids = [str(number) for number in range(len(attributes))]
    made = pd.DataFrame({"id": ids, "attributes": [json.dumps(one) for one in attributes]}, dtype=str)
    earlier = known(**{str(number): value for number, value in before.items()})
    slices = slices_of(made, earlier, generation)
    again = slices_of(made, slices.set_index("id")["generation"], generation)
    pd.testing.assert_frame_equal(again, slices)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("read"))
        PATH.parent.mkdir(parents=True)
        slices.to_csv(PATH, index=False, lineterminator="\n")
        read = read_slices(made)
    assert read.to_numpy().tolist() == slices.to_numpy().tolist()
    assert [str(name) for name in read] == list(slices)


@pytest.mark.usefixtures("_repo")
def test_nothing_recorded() -> None:
    """In a new project, and in one of an earlier version, no image is known."""
    record(None)
    assert recorded_generations().empty
    paths.LOCK.unlink()
    assert recorded_generations().empty


@pytest.mark.usefixtures("_repo")
@pytest.mark.parametrize("workspace", ["as recorded", "of another commit", "missing"])
def test_recorded_ones_are_found(workspace: str) -> None:
    """The recorded file is taken from the workspace if its hash matches, else from the cache."""
    if workspace == "as recorded":
        shutil.rmtree(".dvc/cache")
    else:
        PATH.unlink()
        if workspace == "of another commit":
            PATH.write_text("id,generation\na,7\nb,7\n")
    assert recorded_generations().to_dict() == {"a": 1, "b": 3}


@pytest.mark.usefixtures("_repo")
def test_lost_ones_are_an_error() -> None:
    """A lost record is an error with its hash and a hint."""
    shutil.rmtree(".dvc/cache")
    PATH.unlink()
    md5 = hashlib.md5(RECORDED.encode()).hexdigest()
    with pytest.raises(MissingDataError, match=f"slices.csv: {md5} is recorded.*pipeline fresh") as raised:
        recorded_generations()
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("_repo")
@pytest.mark.parametrize("ids", [["a"], ["b", "a"], ["a", "c"], []])
def test_slices_of_other_images(ids: list[str]) -> None:
    """A file that does not match the test images line by line is not used."""
    with pytest.raises(ImagesError, match="not of the images"):
        read_slices(images(*ids))
    assert read_slices(images("a", "b"))["camera"].tolist() == ["x", ""]
