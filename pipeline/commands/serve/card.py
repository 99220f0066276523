"""The model card of an exported model, in Markdown: what is recorded of it, and nothing else."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.commands.serve.card_facts import CardFacts
from pipeline.evaluation.report.wording import FIGURES
from pipeline.files import put
from pipeline.text import percent, short, shown

CARD = "model_card.md"
# How the line begins that its reader fills in, and that stays when the card is written again.
LICENCE = "Licence: "
UNKNOWN = LICENCE + "not stated; write it here, the next export keeps this line."
# Of longer lists the first.
WORST, ANCESTORS = 5, 20
USE = """\
```python
import json, numpy as np, onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession({file!r})
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
image = ImageOps.exif_transpose(Image.open("image.jpg")).convert("{colour}")
image = ImageOps.fit(image, ({size}, {size}), Image.Resampling.BILINEAR)
pixels = np.asarray(image).reshape(1, {size}, {size}, -1).transpose(0, 3, 1, 2)
(probabilities,) = session.run(["probabilities"], {{"images": pixels}})
print(classes[probabilities[0].argmax()], probabilities[0].max())
```"""


def write_card(facts: CardFacts, exported: Path) -> Path:
    """Write the card beside the file `exported`, with the licence that stood there; returns where."""
    path = exported.with_name(CARD)
    before = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    licence = next((line for line in before if line.startswith(LICENCE)), UNKNOWN)
    aside = path.with_name(f".{CARD}.part")
    aside.write_text(card(facts, exported.name, licence), encoding="utf-8")
    put(aside, path)
    return path


def card(facts: CardFacts, file: str, licence: str = UNKNOWN) -> str:
    """The card of a model that was exported as `file`; `licence` is a line of it."""
    sections = {
        f"Model {short(facts.oid)}": _what(facts),
        "Figures": [*_figures(facts.metrics), *_worst(facts.metrics)],
        "Trained on": _trained_on(facts),
        "Where it comes from": _origin(facts),
        "Limits": _limits(facts),
        "Use": _use(facts, file),
        "Licence": [licence],
    }
    first, *rest = (f"# {name}\n\n" + "\n".join(lines) for name, lines in sections.items())
    return "\n\n".join([first, *(f"#{section}" for section in rest)]) + "\n"


def escaped(text: str) -> str:
    """`text` so that Markdown, in a table too, shows it and does nothing else with it."""
    # A dot and a colon could make a link, an @ an address.
    return re.sub(r"([\\`*_{}\[\]|~$@]|(?<=www)\.|:(?=//))", r"\\\1", html.escape(shown(text), quote=False))


def _table(*rows: Sequence[object]) -> list[str]:
    header, *lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return [header, "|" + "---|" * len(rows[0]), *lines]


def _what(facts: CardFacts) -> list[str]:
    spec = facts.spec
    colour = "grey" if spec.mode == "grey" else "colour"
    return [
        f"Says which of {len(spec.classes):,} classes an image belongs to.",
        f"Network {escaped(spec.model)}, generation {facts.lineage.generation}.",
        f"For images of {spec.size} × {spec.size} pixels in {colour}.",
        "",
        "Meant for images like those that it was trained on. Any other image gets one of these classes, too.",
    ]


def _figures(metrics: Mapping[str, Any] | None) -> list[str]:
    if metrics is None:
        return ["None are recorded of this model."]
    if not metrics.get("support"):
        return ["There were no test images, so nothing is measured."]
    rows = [(one.name, f"{metrics[one.key]:.3f}") for one in FIGURES if metrics.get(one.key) is not None]
    low, high = metrics.get("accuracy_low"), metrics.get("accuracy_high")
    between = [] if low is None or high is None else [("95 % interval of the accuracy", f"{low:.3f} to {high:.3f}")]
    head = ("figure", f"on {metrics['support']:,} test images")
    return _table(head, *rows[:1], *between, *rows[1:])


def _worst(metrics: Mapping[str, Any] | None) -> list[str]:
    classes = {name: of for name, of in ((metrics or {}).get("classes") or {}).items() if of.get("support")}
    if not classes:
        return []
    names = sorted(classes, key=lambda name: (classes[name]["recall"], name))[:WORST]
    rows = [(escaped(name), *_scores(classes[name]), f"{classes[name]['support']:,}") for name in names]
    return [
        "",
        "The classes that it finds least often:",
        "",
        *_table(("class", "recall", "precision", "images"), *rows),
    ]


def _scores(scores: Mapping[str, Any]) -> list[str]:
    values = (scores.get("recall"), scores.get("precision"))
    return ["" if value is None else f"{value:.3f}" for value in values]


def _trained_on(facts: CardFacts) -> list[str]:
    total, steps = sum(facts.images.values()), facts.lineage.steps
    earlier = f", and its bases on {facts.earlier:,} more" if facts.earlier else ""
    return [
        f"{total:,} images{earlier}; {steps.run:,} steps, {steps.total:,} since the cold start.",
        "",
        *_table(("class", "images"), *((escaped(name), f"{count:,}") for name, count in facts.images.items())),
    ]


def _origin(facts: CardFacts) -> list[str]:
    lineage = facts.lineage
    said = [f"A {lineage.start} start: {escaped(lineage.reason)}."] if lineage.reason else [f"A {lineage.start} start."]
    if lineage.base is None:
        return said
    rows = [
        (line.recorded.generation, line.recorded.model, f"{line.recorded.images.total:,}", _share(line.accuracy))
        for line in facts.ancestors
    ]
    if not rows:
        return [*said, "", f"Its base is {lineage.base}."]
    table = _table(("generation", "model", "images", "accuracy then"), *rows[:ANCESTORS])
    more = ["", f"… and {len(rows) - ANCESTORS:,} before them."] if len(rows) > ANCESTORS else []
    return [*said, "", "Its bases, as Git's history tells of them:", "", *table, *more]


def _share(accuracy: float | None) -> str:
    return "" if accuracy is None else percent(accuracy)


def _limits(facts: CardFacts) -> list[str]:
    error = (facts.metrics or {}).get("calibration_error")
    off = "not recorded" if error is None else f"{percent(error)} on average (expected calibration error)"
    counts = {
        "Near-duplicates left out of validation and test images": facts.left_out,
        "Files that could not be used": facts.refused,
    }
    return [
        "- Test images come from where the training images come from; elsewhere it may be worse.",
        f"- How far its confidence is off: {off}.",
        *(f"- {what}: {count:,}." for what, count in counts.items() if count is not None),
    ]


def _use(facts: CardFacts, file: str) -> list[str]:
    size, colour = facts.spec.size, "L" if facts.spec.mode == "grey" else "RGB"
    return [
        USE.format(file=shown(file), colour=colour, size=size),
        "",
        f"Training first scaled images to a shorter side of {facts.ingest.size} pixels where it was longer,",
        "applied colour profiles, and put transparent ones on white.",
        "`pipeline predict` does all of that; this does not.",
    ]
