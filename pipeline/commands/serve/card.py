"""Write the model card of an exported model, in Markdown, from recorded facts only."""

import html
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.commands.serve.card_facts import CardFacts
from pipeline.commands.serve.formats import FORMATS, PT2
from pipeline.commands.serve.quantising import Measured
from pipeline.evaluation.report.wording import FIGURES, FILTERS
from pipeline.files import put
from pipeline.lineage.recorded_metrics import ClassFigures, Metrics
from pipeline.text import percent, short, shown

CARD = "model_card.md"
# Prefix of the licence line. Users fill it in, and it is kept when the card is written again.
LICENCE = "Licence: "
UNKNOWN = LICENCE + "not stated; write it here, the next export keeps this line."
# Maximum lengths of the lists of classes and of ancestors.
WORST, ANCESTORS = 5, 20
TEMPLATES = Path(__file__).parent / "templates"


def write_card(facts: CardFacts, exported: Path, measured: Measured | None = None) -> Path:
    """Write the card next to the file `exported`, and return its path. The licence line of an older card is kept.

    `measured` belongs to an export of 8-bit integers, else it is None.
    """
    path = exported.with_name(CARD)
    before = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    licence = next((line for line in before if line.startswith(LICENCE)), UNKNOWN)
    aside = path.with_name(f".{CARD}.part")
    aside.write_text(card(facts, exported.name, licence, measured), encoding="utf-8")
    put(aside, path)
    return path


def card(facts: CardFacts, file: str, licence: str = UNKNOWN, measured: Measured | None = None) -> str:
    """Return the card of a model exported as `file`; `licence` is a whole line, `measured` is as in `write_card`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 (it is Markdown, not HTML)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {**FILTERS, "percent": percent, "escaped": escaped, "short": short}
    return environment.get_template(f"{CARD}.jinja").render(
        facts=facts,
        is_grey=facts.spec.mode == "grey",
        figures=FIGURES,
        worst=_worst(facts.metrics),
        off=facts.metrics.get("calibration_error") if facts.metrics else None,
        most_ancestors=ANCESTORS,
        file=repr(shown(file)),
        is_program=file.endswith(FORMATS[PT2]),
        measured=measured,
        licence=licence,
    )


def escaped(text: str) -> str:
    """Escape `text` so that Markdown shows it literally, also in tables."""
    # Some Markdown dialects turn `www.`, `://` and `@` into links.
    return re.sub(r"([\\`*_{}\[\]|~$@]|(?<=www)\.|:(?=//))", r"\\\1", html.escape(shown(text), quote=False))


def _worst(metrics: Metrics | None) -> list[tuple[str, ClassFigures]]:
    """Return the classes with the lowest recall, and their scores."""
    known = metrics.get("classes") if metrics else None
    classes = [(name, of) for name, of in (known or {}).items() if of.get("support")]
    return sorted(classes, key=lambda item: (item[1]["recall"] or 0.0, item[0]))[:WORST]
