"""The command `pipeline status`: show what `dvc repro` would do, and why."""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.commands.parsing import Register
from pipeline.errors import TreeringError
from pipeline.text import in_words, percent, shown

if TYPE_CHECKING:
    from pipeline.commands.status.forecast import Expected, Forecast
    from pipeline.commands.status.pending import Pending
    from pipeline.commands.status.raw_changes import RawChanges
    from pipeline.commands.status.start import Start


# Maximum number of listed reasons for a stage.
MOST = 3


def register(command: Register) -> None:
    """Add the command to the parser."""
    sub = command(_status, "show what `dvc repro` would do, and why")
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def _status(args: argparse.Namespace) -> int:
    from pipeline.commands.status.forecast import forecast
    from pipeline.params import read_params

    try:
        found = forecast(read_params())
    except TreeringError as error:
        print(json.dumps({"hindrance": str(error)}) if args.json else f"`dvc repro` would stop: {shown(str(error))}")
        return 0
    if args.json:
        print(json.dumps({"hindrance": None, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        for line in _lines(found):
            print(shown(line))
    return 0


def _lines(found: "Forecast") -> Iterator[str]:
    running = [step for step in found.steps if step.runs != "no"]
    if not running:
        yield "up to date: `dvc repro` would do nothing"
    if found.arrivals:
        yield _labelled("images", _images(found.arrivals))
    if found.pending and (found.pending.changed or found.pending.switched):
        yield _labelled("images" if not found.arrivals else "", _pending(found.pending))
    for (runs, why), steps in groupby(running, key=lambda step: (step.runs, step.why)):
        names = ", ".join(step.stage for step in steps)
        yield _labelled("stages" if names.startswith(running[0].stage) else "", _reasons(names, runs, why))
    if found.start:
        yield _labelled("base", _base(found.start))
    if found.going_on:
        yield _labelled("", "an interrupted training continues at step {:,} of {:,}".format(*found.going_on))
    if running:
        yield _labelled("time", _time(running))
    for remark in found.remarks:
        yield _labelled("note", remark)


def _labelled(label: str, text: str) -> str:
    return f"{label:8}{text}"


def _images(arrivals: "RawChanges") -> str:
    kinds = ", ".join(f"{count:,} {reason}" for reason, count in sorted(arrivals.refused.items()))
    counts = [
        (arrivals.new, "new"),
        (sum(arrivals.refused.values()), f"refused ({kinds})"),
        (arrivals.copies, "copies" if arrivals.copies > 1 else "copy"),
        (arrivals.moved, "moved"),
        (arrivals.removed, "removed at most" if arrivals.unopened else "removed"),
        (arrivals.relabelled, "relabelled"),
        (arrivals.reweighted, "reweighted"),
        (arrivals.renamed, "of renamed classes"),
        (arrivals.switched, "moved to another split"),
        (arrivals.unopened, f"{'archives' if arrivals.unopened > 1 else 'archive'} not opened, for lack of time"),
    ]
    told = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    if arrivals.looked_at < arrivals.found:
        looked = f"{arrivals.found:,} new files, {arrivals.looked_at:,} of them inspected"
        return f"{looked}: {told}" if told else looked
    return told or ("the same" if arrivals.images else "none")


def _pending(waiting: "Pending") -> str:
    kinds = (("new", waiting.new), ("removed", waiting.removed), ("relabelled", waiting.relabelled))
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds if count)
    if waiting.switched:
        moved = f"{waiting.switched:,} moved to another split"
        return f"{moved}; of the images for training {told} since the last training" if told else moved
    return f"{told} since the last training, already read by ingest"


def _reasons(names: str, runs: str, why: list[str]) -> str:
    told = ", ".join(why[:MOST]) + (f" and {len(why) - MOST:,} more" if len(why) > MOST else "")
    return f"{'perhaps ' if runs == 'maybe' else ''}{names}: {told}"


def _base(start: "Start") -> str:
    from pipeline.text import short

    if not start.is_known:
        return start.reason
    if start.oid is None:
        return "none, as for the model before" if start.is_kept else f"none: {start.reason}"
    parts = [f"{short(start.oid)}, as for the model before" if start.is_kept else short(start.oid)]
    if start.generation is not None:
        parts.append(f"generation {start.generation}")
    if start.accuracy is not None:
        parts.append(f"test accuracy {percent(start.accuracy)}")
    parts.append("available locally" if start.is_at_hand else "not available locally: `dvc repro` will fetch it")
    return ", ".join(parts)


def _time(steps: Iterable["Expected"]) -> str:
    known = {step.stage: step.seconds for step in steps if step.seconds is not None}
    unknown = ", ".join(step.stage for step in steps if step.seconds is None)
    if not known:
        return "unknown: no such run yet"
    each = ", ".join(f"{stage} {in_words(seconds)}" for stage, seconds in known.items())
    total = f"about {in_words(sum(known.values()))}: {each}"
    return f"{total}; unknown for {unknown}, which had no such run yet" if unknown else total
