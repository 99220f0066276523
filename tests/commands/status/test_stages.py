"""Which stages run, by DVC's status and the changes in data/raw."""

from typing import Any

from pipeline.commands.status.raw_changes import RawChanges
from pipeline.commands.status.stages import Reason, StageStatus, changed_params, steps_of

NOTHING: dict[str, Any] = dict.fromkeys(
    (
        "new",
        "copies",
        "moved",
        "removed",
        "unread",
        "relabelled",
        "reweighted",
        "renamed",
        "found",
        "looked_at",
        "unopened",
        "switched",
    ),
    0,
)


def changes(**counts: Any) -> RawChanges:
    """Return changes in data/raw."""
    return RawChanges(
        **{
            **NOTHING,
            "classes": "",
            "vanished": [],
            "successors": {},
            "refused": {},
            "images": 9,
            "splits": {},
            "held_out": [],
            "drift": [],
            "hindrance": "",
            **counts,
        }
    )


def stage(name: str, after: list[str], outs: list[str], *reasons: str) -> StageStatus:
    """Return a stage that runs because of these files."""
    told = [Reason(about, f"{about} changed") for about in reasons]
    return StageStatus(name=name, reasons=told, after=after, outs=outs)


def likely(arrivals: RawChanges, *unfinished: str) -> list[str]:
    """Return whether ingest, manifest and train run; `unfinished` are changed dependencies of train."""
    stages = [
        stage("ingest", [], ["data/images"], "data/raw"),
        stage("manifest", ["ingest"], ["data/manifest/train.csv"]),
        stage("train", ["manifest"], ["data/model"], *unfinished),
    ]
    return [step.runs for step in steps_of(stages, arrivals, redecodes=False)]


def test_images_that_change_sides() -> None:
    """Images that move to another split cause a training without a new image."""
    moved = changes(switched=1, splits={"train": 1, "test": 1}, rewrites=True, held_out=["a"])
    assert str(moved) == "1 image moved to another split"
    assert likely(moved) == ["yes", "yes", "yes"]


def test_the_same_images_listed_otherwise() -> None:
    """If the same images are listed differently, nothing trains, unless an earlier run stopped before."""
    assert likely(changes(rewrites=True)) == ["yes", "yes", "no"]
    assert likely(changes(rewrites=True), "data/manifest/train.csv") == ["yes", "yes", "maybe"]


def test_params_are_named_as_params_yaml_has_them() -> None:
    """Params are printed as in params.yaml: an empty string is visible, and null and true are spelt as in YAML."""
    before, now = {"a": {"b": "", "c": None}}, {"a": {"b": "abc", "c": True}, "d": 1e-05}
    assert [one.text for one in changed_params(before, now)] == [
        'a.b changed from "" to abc',
        "a.c changed from null to true",
        "d is new to it (1e-05)",
    ]
