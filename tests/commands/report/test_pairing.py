"""Compare two evaluations on their common images."""

import pandas as pd
import pytest
from support.reported import version

from pipeline.commands.report.compare_lines import class_rows, figure_rows, sentences
from pipeline.commands.report.pairing import pair


def predictions(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    """Return a table of ids, labels, predictions and confidences."""
    return pd.DataFrame(rows, columns=["id", "label", "predicted", "confidence"])


A = predictions(
    ("1", "cat", "cat", 0.9),
    ("2", "cat", "cat", 0.8),
    ("3", "cat", "dog", 0.7),
    ("4", "dog", "dog", 0.6),
    ("5", "emu", "emu", 0.5),
)
B = predictions(
    ("1", "cat", "dog", 0.6),
    ("2", "cat", "dog", 0.9),
    ("3", "cat", "cat", 0.7),
    ("4", "cat", "cat", 0.6),
    ("6", "cat", "cat", 0.5),
    ("7", "cat", "cat", 0.5),
)


def test_images_of_both_are_compared() -> None:
    """Common images are compared by their label in B, others are counted; the most confident mistakes come first."""
    found = pair(version("A", 1), version("B", 2), A, B)
    assert (found.counts.images, found.only_a, found.only_b, found.relabelled) == (4, 1, 2, 1)
    assert (found.counts.before, found.counts.after) == (2, 2)
    assert list(found.lost["id"]) == ["2", "1"]
    assert list(found.gained["id"]) == ["3", "4"]
    (cat,) = found.classes
    assert (cat.name, cat.images, cat.before, cat.after, cat.lost, cat.gained, cat.shown) == (
        "cat",
        4,
        0.5,
        0.5,
        2,
        2,
        "",
    )
    told = found.as_json()
    assert told["images"] == {"both": 4, "only_a": 1, "only_b": 2, "relabelled": 1}
    assert told["lost"][0]["predicted_b"] == "dog"


def test_what_is_said() -> None:
    """The lines name images in one evaluation only, the flips, and whether chance explains them, and fit a screen."""
    found = pair(version("A", 1), version("B", 2), A, B)
    assert list(sentences(found)) == [
        "4 test images in both, 1 in A alone, 2 in B alone",
        "accuracy on those: 50.0 % in A, 50.0 % in B",
        "2 from wrong to right, 2 from right to wrong: chance alone may explain that (McNemar's test, p = 1)",
        "1 image with another label in A, judged by that of B",
    ]
    assert [row[0] for row in figure_rows(found)][1:3] == ["accuracy", "balanced accuracy"]
    assert class_rows(found)[1][:4] == ["cat", "4", "50.0 %", "50.0 %"]


def test_change_that_chance_does_not_explain() -> None:
    """A class that lost 20 of 20 images has fallen; one that lost 1 of 20 may not have."""
    rows = [(f"{name}{number}", name, name, 0.9) for name in ("cat", "dog") for number in range(20)]
    after = [(one, label, "dog" if label == "cat" or one == "dog7" else label, 0.8) for one, label, _, _ in rows]
    after = [(one, label, "cat" if one == "dog7" else taken, sure) for one, label, taken, sure in after]
    found = pair(version("A", 1), version("B", 2), predictions(*rows), predictions(*after))
    assert [(row.name, row.shown) for row in found.classes] == [("cat", "fell"), ("dog", "")]
    assert found.p_value < 0.001
    turned = pair(version("B", 1), version("A", 2), predictions(*after), predictions(*rows))
    assert [(row.name, row.shown) for row in turned.classes] == [("cat", "rose"), ("dog", "")]


@pytest.mark.parametrize("second", [B.iloc[4:], B.iloc[:0]])
def test_nothing_in_common(second: pd.DataFrame) -> None:
    """Evaluations without common images are reported as such."""
    found = pair(version("A", 1), version("B", 2), A, second)
    assert (found.counts.images, found.classes, class_rows(found)) == (0, [], [])
    assert len(list(sentences(found))) == 1


def test_same_model() -> None:
    """Two evaluations of the same model are reported as such."""
    found = pair(version("A", 1), version("B", 1), A, A)
    assert list(sentences(found))[2] == "0 from wrong to right, 0 from right to wrong: it is the same model"
