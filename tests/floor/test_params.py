"""params.yaml: valid values are read, and everything else is a one-line error with a hint."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import annotated_types
import pytest
from conftest import ROOT
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from pipeline.augment_params import Augment
from pipeline.errors import ParamError
from pipeline.param_errors import PATTERNS, SUCCESSORS, TYPES
from pipeline.param_types import Section
from pipeline.params import Params, read_params

PARAMS = ROOT / "params.yaml"
TEXT = PARAMS.read_text(encoding="utf-8")
CONTENT = YAML().load(TEXT)


def fields(section: type[Section] = Params, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Return every param by its dotted name."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from fields(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def limits() -> Iterator[tuple[str, float, float | None, str]]:
    """Yield for every numeric limit: the name, a value beyond it, the limit if it is allowed, and the message."""
    for key, field in fields():
        tiny = 1 if field.annotation is int else 1e-9
        for limit in field.metadata:
            match limit:
                case annotated_types.Ge(ge):
                    yield key, ge - tiny, ge, f"greater than or equal to {ge}"  # type: ignore[operator,misc]
                case annotated_types.Gt(gt):
                    yield key, gt, None, f"greater than {gt}"  # type: ignore[misc]
                case annotated_types.Le(le):
                    yield key, le + tiny, le, f"less than or equal to {le}"  # type: ignore[operator,misc]
                case annotated_types.Lt(lt):
                    yield key, lt, None, f"less than {lt}"  # type: ignore[misc]


def choices() -> list[str]:
    """Return the params with a choice of words, or a pattern."""
    return [key for key, field in fields() if field.annotation not in (int, float, bool, float | None, bool | str)]


def written(folder: Path, key: str, value: Any) -> Path:
    """Write this repository's params.yaml with `key` set to `value`, or removed for `...`."""
    content = section = deepcopy(CONTENT)
    *sections, name = key.split(".")
    for part in sections:
        section = section[part]
    section[name] = value
    if value is ...:
        del section[name]
    path = folder / "params.yaml"
    YAML().dump(content, path)
    return path


def complaint(path: Path) -> str:
    """Return the error of reading the invalid `path`, which is one line that names the file."""
    with pytest.raises(ParamError) as raised:
        read_params(path)
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.startswith(f"{path}: ")
    return said.removeprefix(f"{path}: ")


def test_repository_is_valid() -> None:
    """This repository's params.yaml is valid."""
    assert read_params(PARAMS).train.model == "small"


def test_params_are_frozen() -> None:
    """Params cannot be changed after they are read."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(read_params(PARAMS).train, "lr", 1.0)  # noqa: B010 (mypy forbids the plain way, as it should)


@pytest.mark.parametrize(("key", "beyond", "at", "allowed"), list(limits()))
def test_limits(tmp_path: Path, key: str, beyond: float, at: float | None, allowed: str) -> None:
    """A number beyond its limit is an error with the allowed range; an inclusive limit itself is valid."""
    said = complaint(written(tmp_path, key, beyond))
    assert said.partition(", so that ")[0] == f"{key} is {beyond!r}; it should be {allowed}"
    if at is not None:
        read_params(written(tmp_path, key, at))


def test_every_number_has_a_limit() -> None:
    """Every number has a lower limit."""
    for key, field in fields():
        if field.annotation in (int, float, float | None):
            assert any(isinstance(limit, annotated_types.Ge | annotated_types.Gt) for limit in field.metadata), key


@pytest.mark.parametrize("key", [key for key, field in fields() if field.annotation in (float, float | None)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(tmp_path: Path, key: str, value: float) -> None:
    """Neither infinity nor NaN is valid anywhere."""
    said = complaint(written(tmp_path, key, value))
    assert said.startswith(f"{key} is {value!r}; it should ")


def test_recipe_of_the_documentation(tmp_path: Path) -> None:
    """The block in docs/fine-tuning.md is valid, and its page explains every param in it."""
    page = (ROOT / "docs/fine-tuning.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    values, content = YAML(typ="safe").load(block)["train"], YAML(typ="safe").load(TEXT)
    content["train"].update(values)
    YAML().dump(content, tmp_path / "params.yaml")
    assert read_params(tmp_path / "params.yaml").train.layer_decay == values["layer_decay"]
    titles = re.findall(r"^## .*$", page, flags=re.MULTILINE)
    assert {name for title in titles for name in re.findall(r"`train\.(\w+)`", title)} <= values.keys()


def test_head_alone_all_the_time(tmp_path: Path) -> None:
    """Training the head in all epochs is an error, since another param does that."""
    said = complaint(written(tmp_path, "train.head_epochs", 12.0))
    assert said == (
        "train.head_epochs 12 leave nothing of train.epochs 12; "
        "make it less; `freeze: backbone` trains the head alone all the time"
    )
    assert read_params(written(tmp_path, "train.head_epochs", 11.5)).train.head_epochs == 11.5


@pytest.mark.parametrize("key", [key for key, _ in fields()])
@pytest.mark.parametrize("value", [None, [1], {"a": "b"}])
def test_wrong_types(tmp_path: Path, key: str, value: Any) -> None:
    """A value of a wrong type is an error with name and value; null is valid only where stated."""
    if value is None and dict(fields())[key].annotation in (float | None, str | None):
        read_params(written(tmp_path, key, value))
        return
    if key in ("ingest.columns", "train.augment") and isinstance(value, dict):
        nearest = "it should be 'path' or 'label'" if key == "ingest.columns" else "the nearest one is erase"
        assert complaint(written(tmp_path, key, value)) == f"{key}.a is not a parameter; {nearest}"
        return
    where = (f"{key}.a", "b") if key == "ingest.strip" and isinstance(value, dict) else (key, value)
    assert complaint(written(tmp_path, key, value)).startswith(f"{where[0]} is {where[1]!r}; it should be ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epochs", "3"),
        ("train.epochs", 3.5),
        ("train.epochs", True),
        ("train.lr", "fast"),
        ("train.lr", True),
        ("train.deterministic", 1),
        ("train.deterministic", "yes"),
        ("train.augment.flip", "on"),
        ("train.model", 3),
        ("manifest", 3),
        ("manifest.split", [0.1, 0.1]),
    ],
)
def test_no_type_is_taken_for_another(tmp_path: Path, key: str, value: Any) -> None:
    """Types are not converted: text is no number, a number no boolean, a boolean no number, a list no section."""
    said = complaint(written(tmp_path, key, value))
    assert said.startswith(f"{key} is {value!r}; it should be ")
    assert said.partition(" should be ")[2].partition(",")[0] in TYPES.values() or "a section" in said


@pytest.mark.parametrize("key", choices())
@pytest.mark.parametrize("value", ["", "Nonsense", "small ", "timm/"])
def test_choices(tmp_path: Path, key: str, value: str) -> None:
    """A word that is no choice is an error with the choices."""
    if value or key not in ("manifest.cold_after", "compute.address", "compute.ray"):  # These may be empty.
        assert complaint(written(tmp_path, key, value)).startswith(f"{key} is {value!r}; it should ")


@pytest.mark.parametrize("value", [True, False, "net.safetensors", "other project/model"])
def test_weights_to_begin_with(tmp_path: Path, value: object) -> None:
    """Published weights, none, and paths in data/weights are valid."""
    assert read_params(written(tmp_path, "train.pretrained", value)).train.pretrained == value


@pytest.mark.parametrize("value", ["", "/net.pt", "../net.pt", "a//b", "a/./b", "a/", "data/weights/net.pt", "true", 3])
def test_no_weights_to_begin_with(tmp_path: Path, value: object) -> None:
    """Any other path is an error with a hint."""
    said = complaint(written(tmp_path, "train.pretrained", value))
    allowed = "it should be true, false, or a path in data/weights, from there, such as resnet18.safetensors"
    assert said == f"train.pretrained is {value!r}; {allowed}"


@pytest.mark.parametrize("value", ["small", "timm/resnet18", "timm/hf_hub:someone/some-net", "mine.nets:build"])
def test_models(tmp_path: Path, value: str) -> None:
    """The small network, timm's names and import paths are valid; only the last one is own code."""
    train = read_params(written(tmp_path, "train.model", value)).train
    assert train.model == value
    assert train.own == ({"train.model": value} if value == "mine.nets:build" else {})


@pytest.mark.parametrize("key", ["train.model", "train.optimizer", "train.loss", "train.augment"])
@pytest.mark.parametrize("value", ["mine.nets", "mine/nets.py:build", "mine.nets:build()", "mine-nets:build", ":build"])
def test_no_import_paths(tmp_path: Path, key: str, value: str) -> None:
    """An invalid path of a function is an error with a hint."""
    assert complaint(written(tmp_path, key, value)) == f"{key} is {value!r}; {PATTERNS[key]}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("medium", f"train.augment is 'medium'; {PATTERNS['train.augment']}"),
        (3, f"train.augment is 3; {PATTERNS['train.augment']}"),
        ({"rotation": 3}, "train.augment.rotation is not a parameter; the nearest one is rotate"),
        ({"crop": [0.9, 0.2]}, "train.augment.crop is [0.9, 0.2]; it should have the smaller number first"),
        ({"crop": [0.2]}, "train.augment.crop is [0.2]; it should have at least 2 items after validation, not 1"),
        ({"crop": [0.2, 1.5]}, "train.augment.crop.1 is 1.5; it should be less than or equal to 1"),
    ],
)
def test_augmentation(tmp_path: Path, value: Any, said: str) -> None:
    """An error in an augmentation names only its key."""
    assert complaint(written(tmp_path, "train.augment", value)) == said


@pytest.mark.parametrize("value", ["none", "light", "strong", {}, {"crop": [0.5, 1], "policy": "trivial"}])
def test_augmentation_by_name_or_in_part(tmp_path: Path, value: Any) -> None:
    """An augmentation is a preset's name, or some of the changes; the others are off."""
    augment = read_params(written(tmp_path, "train.augment", value)).train.augment
    assert augment == (value if isinstance(value, str) else Augment(**value))


@pytest.mark.parametrize(
    ("value", "trackers"),
    [
        ([], {}),
        (["csv", "mlflow"], {"csv": "", "mlflow": ""}),
        (["wandb", {"mlflow": "http://127.0.0.1:5000"}], {"wandb": "", "mlflow": "http://127.0.0.1:5000"}),
    ],
)
def test_loggers(tmp_path: Path, value: Any, trackers: dict[str, str]) -> None:
    """Loggers are names of trackers, or each with its place."""
    assert read_params(written(tmp_path, "train.loggers", value)).train.trackers == trackers


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        (["csv", "mlfow"], "; the nearest is mlflow"),
        ("tensorbord", "; the nearest is tensorboard"),
        ([{"mlflow": 5000}], ""),
        (["csv", None], ""),
    ],
)
def test_no_loggers(tmp_path: Path, value: Any, ending: str) -> None:
    """An invalid list of trackers is an error with the right form, and the nearest name."""
    allowed = "it should be a list of tensorboard, csv, mlflow, wandb, dvclive, such as [tensorboard, mlflow: ADDRESS]"
    assert complaint(written(tmp_path, "train.loggers", value)) == f"train.loggers is {value!r}; {allowed}{ending}"


def test_no_tracker_twice(tmp_path: Path) -> None:
    """The same tracker twice is an error, since its run would have all points twice."""
    said = complaint(written(tmp_path, "train.loggers", ["csv", {"csv": "elsewhere"}]))
    assert said.endswith("; it should be a list that names each tracker once")


def test_former_values(tmp_path: Path) -> None:
    """A former value is an error with its replacement."""
    said = complaint(written(tmp_path, "train.start", "full"))
    assert said.startswith("train.start is not a parameter; remove it; a warm start takes all that the base has")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.bach_size", "batch_size"),
        ("train.augment.shfit", "shift"),
        ("train.learning_rate", "lr"),
        ("train.wd", "weight_decay"),
        ("manifest.split.vall", "val"),
        ("trian", "train"),
        ("compute.zzzzzzzz", ""),
    ],
)
def test_unknown_key(tmp_path: Path, key: str, nearest: str) -> None:
    """A misspelt key is an error with the nearest valid one, at any distance."""
    assert complaint(written(tmp_path, key, 1)).startswith(f"{key} is not a parameter; the nearest one is {nearest}")


@pytest.mark.parametrize("value", [1, 1.0, 0.25, 0.875, "model"])
def test_crop_pct(tmp_path: Path, value: object) -> None:
    """A share, or `model`, is valid."""
    assert read_params(written(tmp_path, "train.crop_pct", value)).train.crop_pct == value


@pytest.mark.parametrize("value", [0, 0.2, 1.5, float("nan"), "models", True, None])
def test_wrong_crop_pct(tmp_path: Path, value: object) -> None:
    """Anything else is an error with the allowed values, also a share so small that nothing is left of an image."""
    said = complaint(written(tmp_path, "train.crop_pct", value))
    assert said == f"train.crop_pct is {value!r}; it should be model, or a number from 0.25 to 1, such as 0.875"


@pytest.mark.parametrize("key", sorted(SUCCESSORS))
def test_parameters_of_earlier_releases(tmp_path: Path, key: str) -> None:
    """A former param is an error with its successor, which exists, also as a command."""
    said = complaint(written(tmp_path, key, 1))
    assert said == f"{key} is not a parameter; {SUCCESSORS[key]}"
    assert any(name in SUCCESSORS[key] for name in (*(name for name, _ in fields()), "`pipeline fresh`"))


def test_misspelt_key_comes_before_the_missing_one(tmp_path: Path) -> None:
    """A renamed key is reported before the missing one."""
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("  lr: ", "  learning_rate: ", 1))
    assert complaint(path).startswith("train.learning_rate is not a parameter; the nearest one is lr")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("train.max_epochs", "train.epochs"),
        ("train.num_workers", "compute.workers"),
        ("train.accelerator", "compute.accelerator"),
        ("compute.lr", "train.lr"),
    ],
)
def test_names_of_elsewhere(tmp_path: Path, key: str, meant: str) -> None:
    """Lightning's names, and keys of other sections, are errors with the right name."""
    assert complaint(written(tmp_path, key, 1)) == f"{key} is not a parameter; use {meant} instead"
    assert meant in dict(fields())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.epochs", "12", "'12'; it should be a whole number, without quotes"),
        ("train.lr", "0,01", "'0,01'; it should be a number, with a point: 0.01"),
        ("train.lr", "fast", "'fast'; it should be a number"),
        ("train.augment", {"flip": "sideways"}, "'sideways'; it should be true or false"),
    ],
)
def test_wrong_type(tmp_path: Path, key: str, value: Any, said: str) -> None:
    """Types are described in plain words."""
    assert complaint(written(tmp_path, key, value)).endswith(f" is {said}")


def test_line_that_is_not_yaml(tmp_path: Path) -> None:
    """A line that is not YAML is named by its number."""
    path, lines = tmp_path / "params.yaml", TEXT.splitlines(keepends=True)
    place = lines.index("  epochs: 12\n")
    for wrong in (" epochs: 12\n", "\tepochs: 12\n"):
        path.write_text("".join([*lines[:place], wrong, *lines[place + 1 :]]))
        assert complaint(path).startswith(f"not YAML: line {place + 1}: ")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("train.freeze", "head", "none, backbone, or a number of groups of layers"),
        ("train.freeze", 0, "none, backbone, or a number of groups of layers"),
        ("train.freeze", True, "none, backbone, or a number of groups of layers"),
        ("train.model", "resnet18", "it should be small, timm/resnet18 for that model of timm's, or your own: "),
        ("train.model", "resnet18.a1_in1k", "timm/resnet18.a1_in1k for that model of timm's"),
        ("train.model", "timm/", "small, timm/ and the name of a model of timm's"),
        ("train.batch_size", 0, "so that every step has the two images that batch normalisation needs"),
    ],
)
def test_reasons_are_given(tmp_path: Path, key: str, value: Any, why: str) -> None:
    """If a limit is not obvious, the error explains it, and never shows a regular expression."""
    assert why in complaint(written(tmp_path, key, value))


@pytest.mark.parametrize("key", [key for key, _ in fields()] + ["train", "manifest.split", "compute"])
def test_missing_key(tmp_path: Path, key: str) -> None:
    """There are no defaults: a missing key is an error."""
    assert complaint(written(tmp_path, key, ...)).startswith(f"{key} is missing; ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("train: [", "not YAML", id="unfinished"),
        pytest.param("a:\tb: c", "not YAML", id="tab"),
        pytest.param("train: &a {x: *b}", "not YAML", id="alias"),
        pytest.param("train: !!python/object:os.system {}", "not YAML", id="object"),
        pytest.param(TEXT + "\ntrain: {}\n", "not YAML", id="section twice"),
        pytest.param(TEXT.replace("  epochs: 12\n", "  epochs: 12\n  epochs: 13\n"), "epochs", id="key twice"),
        pytest.param("\0", "not YAML", id="NUL"),
        pytest.param(TEXT.replace("seed: 0", "seed: 2001-99-99"), "", id="impossible date"),
        pytest.param(TEXT.replace("seed: 0", "seed: 2001-01-01"), "manifest.seed is ", id="date"),
        pytest.param(TEXT.replace("seed: 0", "seed: " + "9" * 5000), "", id="endless number"),
        pytest.param("[" * 3000, "", id="deep"),
        pytest.param("", "the file is None", id="empty"),
        pytest.param("# nothing\n", "the file is None", id="comment"),
        pytest.param("- train\n- compute\n", "the file is ['train', 'compute']", id="list"),
        pytest.param("train", "the file is 'train'", id="word"),
        pytest.param("1: 2\n" + TEXT, "", id="number as key"),
    ],
)
def test_other_files(tmp_path: Path, text: str, said: str) -> None:
    """A file that is not YAML, or not a mapping, is a one-line error."""
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert said in complaint(path)


def test_not_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is a one-line error."""
    path = tmp_path / "params.yaml"
    path.write_bytes(TEXT.encode("utf-16"))
    path.write_bytes(b"train: \xff\xfe")
    assert complaint(path).startswith("not YAML")


def test_no_file(tmp_path: Path) -> None:
    """A missing file is an error with the command that restores it."""
    assert complaint(tmp_path / "params.yaml") == "no such file; run `git checkout params.yaml`"


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.0e-3", "+1e-3", ".001"])
def test_every_spelling_of_a_number(tmp_path: Path, text: str) -> None:
    """`1e-3` is a number, as for DVC."""
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(" lr: 1e-2", f" lr: {text}"), encoding="utf-8")
    assert read_params(path).train.lr == 0.001


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (0.9, 0.2), (0.1, 0.9)])
def test_splits_leave_something_to_train_on(tmp_path: Path, val: float, test: float) -> None:
    """Shares that sum to 1 are an error that names both."""
    path = written(tmp_path, "manifest.split", {"val": val, "test": test, "by": "hash", "group": None})
    assert complaint(path).startswith(f"manifest.split: val {val} + test {test} leave nothing to train on; ")


@pytest.mark.parametrize("group", [None, "folder", "labels", "re:^(patient[0-9]+)_", "re:."])
def test_groups(tmp_path: Path, group: str | None) -> None:
    """Null, a word, and any regular expression are valid."""
    assert read_params(written(tmp_path, "manifest.split.group", group)).manifest.split.group == group


@pytest.mark.parametrize("group", ["re:(", "re:[", "re:*", "re:(?P<a>x)(?P<a>y)"])
def test_broken_expressions(tmp_path: Path, group: str) -> None:
    """An invalid regular expression is a one-line error with the reason."""
    said = complaint(written(tmp_path, "manifest.split.group", group))
    assert said.startswith(f"manifest.split.group is {group!r}, which is not a regular expression: ")
    assert said.endswith("; correct it, for example re:^(patient[0-9]+)_")


def test_splits_may_be_empty(tmp_path: Path) -> None:
    """Shares of zero are valid."""
    split = read_params(
        written(tmp_path, "manifest.split", {"val": 0, "test": 0.0, "by": "hash", "group": None})
    ).manifest.split
    assert (split.val, split.test) == (0, 0)


@given(st.integers(0, len(TEXT)), st.integers(0, 12), st.text(max_size=12))
@example(TEXT.index("seed:") + 6, 1, "2001-02-30")
def test_whatever_is_typed(tmp_path_factory: pytest.TempPathFactory, start: int, length: int, typed: str) -> None:
    """After any edit of a part, the file is valid, or a one-line error."""
    path = tmp_path_factory.getbasetemp() / "typed.yaml"
    path.write_bytes((TEXT[:start] + typed + TEXT[start + length :]).encode("utf-8", "surrogatepass"))
    try:
        read_params(path)
    except ParamError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 (both outcomes are fine)
