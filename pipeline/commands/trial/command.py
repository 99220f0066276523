"""The command `pipeline try`: check before a training that it works, and estimate its memory and duration."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.commands.parsing import Register
from pipeline.text import counted, in_words, shown

if TYPE_CHECKING:
    from pipeline.commands.trial.contract import Check
    from pipeline.commands.trial.measuring import Expectation, Row
    from pipeline.commands.trial.samples import Samples
    from pipeline.params import Params

MIB = 2**20


class BatchFigures(NamedTuple):
    """Measurements of one batch of each stage, and estimates based on them."""

    rows: "list[Row]"
    expected: "list[Expectation]"
    peak: int
    """Peak memory in bytes."""
    whose: str
    """What the peak is measured of: `GPU` or `process`."""


def register(command: Register) -> None:
    """Add the command to the parser."""
    sub = command(_try, "try one batch of each stage: memory, images a second, time of a training; keeps nothing")
    sub.add_argument("--json", action="store_true", help="print it as JSON")
    sub.add_argument(
        "--contract", action="store_true", help="also check what every model promises, on synthetic images"
    )


def _try(args: argparse.Namespace) -> int:
    from pipeline.commands.trial.aside import aside
    from pipeline.commands.trial.contract import checks
    from pipeline.commands.trial.samples import samples_of
    from pipeline.params import read_params

    params = read_params()
    samples = samples_of(params)
    with aside(params):
        found = list(checks(params)) if args.contract else []
    failed = any(check.trouble and not check.is_skipped for check in found)
    measured = None if failed else _measure(params, samples)
    if args.json:
        print(json.dumps(_as_json(found, measured), indent=2, ensure_ascii=False))
        return int(failed)
    if measured is not None:
        _print_measures(params, samples, measured)
    for check in found:
        print(shown(_line(check)))
    return int(failed)


def _as_json(found: "Sequence[Check]", measured: "BatchFigures | None") -> dict[str, Any]:
    promises: list[dict[str, Any]] = [
        {"promise": one.promise, "holds": not one.trouble, "skipped": one.is_skipped, "trouble": one.trouble}
        for one in found
    ]
    if measured is None:
        return {"promises": promises}
    stages = [{**row._asdict(), "images_per_second": row.rate} for row in measured.rows]
    memory = {"bytes": measured.peak, "of": measured.whose}
    return {
        "promises": promises,
        "stages": stages,
        "memory": memory,
        "expected": [one._asdict() for one in measured.expected],
    }


def _measure(params: "Params", samples: "Samples") -> "BatchFigures":
    from pipeline.commands.trial.aside import aside
    from pipeline.commands.trial.measuring import expect, measure, memory_peak
    from pipeline.models.device import device

    with aside(params):
        rows = list(measure(params, samples))
    return BatchFigures(rows, list(expect(params, samples, rows)), *memory_peak(device(params.compute)))


def _print_measures(params: "Params", samples: "Samples", measured: "BatchFigures") -> None:
    from pipeline.commands.terminal import print_table
    from pipeline.models.device import device

    what = f"{counted(len(samples.dataset), 'image')} of {samples.total:,}" if samples.total else "drawn images"
    print(f"{params.train.model} at {params.train.size} pixels, on {device(params.compute)}, {what}")
    cells = [(row.stage, row.images, f"{row.seconds * 1000:,.1f}", f"{row.rate:,.0f}") for row in measured.rows]
    print_table([("stage", "images in a batch", "ms", "images/s"), *cells])
    print(f"memory: {measured.peak / MIB:,.0f} MiB at most ({measured.whose})")
    for one in measured.expected:
        print(f"{one.what}: {counted(one.steps, 'step')}, about {in_words(one.seconds)}")


def _line(check: "Check") -> str:
    if not check.trouble:
        return f"holds    {check.promise}"
    return f"{'skipped' if check.is_skipped else 'FAILS':8} {check.promise}: {check.trouble}"
