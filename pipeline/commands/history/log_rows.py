"""What `pipeline log` says of a training, with what people have decided about its model since."""

from typing import Any

from pipeline.lineage.acceptance import Judgement
from pipeline.lineage.history import Training
from pipeline.text import percent


def as_row(training: Training, judgement: Judgement | None, *, is_forgotten: bool = False) -> list[str]:
    """When, who, start, images, new, removed, steps, accuracy, standing, base, model and commit, for people."""
    recorded, images = training.recorded, training.recorded.images
    generation = f"{recorded.start}, generation {recorded.generation}"
    counts = [f"{count:,}" for count in (images.total, images.new, images.removed, recorded.steps.run)]
    return [
        training.date.strftime("%Y-%m-%d %H:%M"),
        training.author,
        generation,
        *counts,
        "" if training.accuracy is None else percent(training.accuracy),
        "forgotten" if is_forgotten else _standing(training, judgement),
        recorded.base[:8] if recorded.base else "",
        recorded.model[:8],
        training.commit[:7],
    ]


def as_json(training: Training, judgement: Judgement | None, *, is_forgotten: bool = False) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        **training.as_json(),
        "accepted": _accepted(training, judgement),
        "forgotten": is_forgotten,
        "judgement": judgement.model_dump() if judgement else None,
    }


def _accepted(training: Training, judgement: Judgement | None) -> bool | None:
    """Whether the model may be a base; None where that was never decided."""
    return judgement.accepted if judgement else training.recorded.accepted


def _standing(training: Training, judgement: Judgement | None) -> str:
    """The same in words."""
    word = {True: "accepted", False: "refused", None: ""}[_accepted(training, judgement)]
    return f"{word} by hand" if judgement else word
