"""Before a training: whether it works, what it takes, how long it will be. `pipeline try`."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands.parsing import Register
from pipeline.text import counted, in_words, shown

if TYPE_CHECKING:
    from pipeline.commands.trial.contract import Check
    from pipeline.commands.trial.samples import Samples
    from pipeline.params import Params

MIB = 2**20


def register(command: Register) -> None:
    """Add this command."""
    sub = command(_try, "try one batch of each stage: memory, images a second, time of a training; keeps nothing")
    sub.add_argument("--contract", action="store_true", help="also try what every model promises, on drawn images")


def _try(args: argparse.Namespace) -> int:
    from pipeline.commands.trial.aside import aside
    from pipeline.commands.trial.contract import checks
    from pipeline.commands.trial.samples import samples_of
    from pipeline.params import read_params

    params = read_params()
    samples = samples_of(params)
    with aside(params):
        found = list(checks(params)) if args.contract else []
    if not any(check.trouble and not check.is_skipped for check in found):
        _print_measures(params, samples)
    for check in found:
        print(shown(_line(check)))
    return int(any(check.trouble and not check.is_skipped for check in found))


def _print_measures(params: "Params", samples: "Samples") -> None:
    from pipeline.commands.terminal import print_table
    from pipeline.commands.trial.aside import aside
    from pipeline.commands.trial.measuring import expect, measure, memory_peak
    from pipeline.models.device import device

    with aside(params):
        rows = list(measure(params, samples))
    what = f"{counted(len(samples.dataset), 'image')} of {samples.total:,}" if samples.total else "drawn images"
    print(f"{params.train.model} at {params.train.size} pixels, on {device(params.compute)}, {what}")
    cells = [(row.stage, row.images, f"{row.seconds * 1000:,.1f}", f"{row.rate:,.0f}") for row in rows]
    print_table([("stage", "images in a batch", "ms", "images/s"), *cells])
    peak, whose = memory_peak(device(params.compute))
    print(f"memory: {peak / MIB:,.0f} MiB at most ({whose})")
    for one in expect(params, samples, rows):
        print(f"{one.what}: {counted(one.steps, 'step')}, about {in_words(one.seconds)}")


def _line(check: "Check") -> str:
    if not check.trouble:
        return f"holds    {check.promise}"
    return f"{'skipped' if check.is_skipped else 'FAILS':8} {check.promise}: {check.trouble}"
