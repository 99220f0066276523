"""The output of `pipeline log` for a training, including later decisions about its model."""

from typing import Any

from pipeline.lineage.acceptance import Judgement
from pipeline.lineage.history import Training
from pipeline.text import percent


def as_row(training: Training, judgement: Judgement | None, *, is_forgotten: bool = False) -> list[str]:
    """Return date, author, start, images, new, removed, steps, accuracy, gate, base, model and commit as text."""
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
    """Return everything that is recorded about the training, for JSON."""
    return {
        **training.as_json(),
        "accepted": _accepted(training, judgement),
        "forgotten": is_forgotten,
        "judgement": judgement.model_dump() if judgement else None,
    }


def _accepted(training: Training, judgement: Judgement | None) -> bool | None:
    """Whether the model may be a base; None if that was never decided."""
    return judgement.accepted if judgement else training.recorded.accepted


def _standing(training: Training, judgement: Judgement | None) -> str:
    """Describe whether the model may be a base."""
    word = {True: "accepted", False: "refused", None: ""}[_accepted(training, judgement)]
    return f"{word} by hand" if judgement else word
