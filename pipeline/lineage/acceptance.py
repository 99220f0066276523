"""Which models may be the next base: those that the gate accepted, unless people decided otherwise.

data/report/lineage.json has the gate's verdict, data/accepted.json the decisions of people. Git tracks both files.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.lineage.lineage import RECORDED, read_recorded
from pipeline.versioning.lock import checkout_hint

# A constant last entry. Every line above it ends in a comma, so Git can merge lines that two people added.
END, END_NOTE = "", "one model a line, sorted by hash, written by `pipeline accept` and `pipeline refuse`"


class Judgement(BaseModel):
    """A person's decision about a model. Git records who decided and when."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    accepted: bool
    why: str


def read_judgements(path: Path = paths.ACCEPTED) -> dict[str, Judgement]:
    """Return people's decisions, by the hash of the model.

    Raises:
        RecordError: `path` cannot be read, or has two different judgements of one model, for example after a merge.
    """
    return parse_judgements(path.read_bytes(), path) if path.exists() else {}


def parse_judgements(content: bytes, path: Path) -> dict[str, Judgement]:
    """Parse `content`, a version of the file; `path` is its name in errors.

    Raises:
        RecordError: see `read_judgements`.
    """
    try:
        entries = json.loads(content, object_pairs_hook=_distinct)
        return {model: Judgement.model_validate(entry) for model, entry in entries.items() if model != END}
    except KeyError as twice:
        what = f"two judgements of {twice.args[0]}"
        raise RecordError(path, what, "keep one of the lines, and commit it") from None
    except (ValueError, AttributeError, RecursionError):  # ValidationError and UnicodeDecodeError are ValueErrors.
        raise RecordError(path, "no map of models to judgements", checkout_hint(path)) from None


def write_judgements(judgements: Mapping[str, Judgement], path: Path = paths.ACCEPTED) -> None:
    """Write all `judgements`, one per line, so that Git can merge the file as text."""
    lines = [f"{json.dumps(model)}: {_to_line(judgements[model])},\n" for model in sorted(judgements)]
    write_text(path, "".join(["{\n", *lines, f"{json.dumps(END)}: {json.dumps(END_NOTE)}\n", "}\n"]))


def refused_models(recorded: str, *, has_base: bool) -> frozenset[str]:
    """Return the models that may not be the next base, where dvc.lock records `recorded` as the last model.

    These are the models that people refused, and `recorded` if the gate rejected it and nobody accepted it. The gate
    is not asked about earlier models: each of them that was a base was accepted at that time. `has_base` states
    whether `recorded` had a base to be compared with.

    Raises:
        RecordError: `recorded` is not judged yet, for example because evaluate failed.
    """
    judgements = read_judgements()
    refused = {model for model, judgement in judgements.items() if not judgement.accepted}
    if recorded not in judgements and not _gate_accepts(recorded, has_base=has_base):
        refused.add(recorded)
    return frozenset(refused)


def _gate_accepts(recorded: str, *, has_base: bool) -> bool:
    lineage = read_recorded()
    if lineage is not None and lineage.model == recorded:
        return lineage.accepted is not False
    if not has_base:
        return True
    raise RecordError(
        RECORDED,
        f"does not say whether {recorded}, which {paths.LOCK} records, is accepted",
        "run `dvc repro --single-item evaluate`, and then `dvc repro`",
    )


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries: dict[str, object] = {}
    for key, value in pairs:
        if key in entries and entries[key] != value:
            raise KeyError(key)
        entries[key] = value
    return entries


def _to_line(judgement: Judgement) -> str:
    return json.dumps(judgement.model_dump(), ensure_ascii=False)
