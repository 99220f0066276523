"""What the report shows about each generation."""

import pytest
from support.reported import made

from pipeline.evaluation.report import generations
from pipeline.lineage.ancestors import Past


def test_each_generation() -> None:
    """Generations are listed from the newest, with their share of steps, and the curves' values at their end."""
    findings = made(generation=3).findings
    past = [*findings.past, Past(findings.recorded, findings.metrics)]
    view = generations.view(past, findings)
    assert [one["recorded"].generation for one in view["chosen"]] == [3, 2, 1]
    steps = findings.recorded.steps.total
    ends = [one.recorded.steps.total / steps for one in past]
    assert [span["end"] for span in view["spans"]] == pytest.approx(ends)
    assert [span["start"] for span in view["spans"][1:]] == pytest.approx(ends[:-1])
    (newest, *_) = view["learned"]
    curve = [value for step, value in findings.curves["val_accuracy"] if step <= steps]
    assert (newest["steps"], newest["val_accuracy"], newest["val_loss"]) == (steps, curve[-1], None)


def test_classes_then_and_now() -> None:
    """Classes have their current recall, if they are still known; those of older generations may be left out."""
    findings = made(generation=2).findings
    then = findings.metrics["classes"]
    gone = {**then, "gone": then["cat"]}
    earlier = Past(findings.past[0].recorded, {**findings.metrics, "classes": gone})
    view = generations.view([earlier, Past(findings.recorded, findings.metrics)], findings)
    rows = {row["name"]: row for row in view["chosen"][1]["classes"]}
    assert rows.keys() == {"cat", "dog", "gone"}
    assert (rows["cat"]["recall"], rows["cat"]["now"], rows["cat"]["since"]) == (then["cat"]["recall"],) * 2 + (0,)
    assert (rows["gone"]["now"], rows["gone"]["since"]) == (None, None)


def test_room_for_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """If room is limited, the newest generations show their classes."""
    findings = made(generation=2).findings
    monkeypatch.setattr(generations, "MOST_ROWS", 3)
    every = [Past(findings.recorded, findings.metrics)] * 2
    view = generations.view(every, findings)
    assert [len(one["classes"]) for one in view["chosen"]] == [2, 0]
    assert [one["count"] for one in view["chosen"]] == [2, 2]
