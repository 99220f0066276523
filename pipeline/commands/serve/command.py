"""The commands `pipeline predict` and `pipeline export`."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register, count
from pipeline.commands.serve.formats import FILES, FORMATS, ONNX, chosen
from pipeline.text import counted, csv_lines, percent, shown

if TYPE_CHECKING:
    from pipeline.commands.serve.export import Exported
    from pipeline.commands.serve.predicting import Answer, Guess
    from pipeline.evaluation.inference import Trained
    from pipeline.ingestion.refusals import Refusal
    from pipeline.ingestion.scan import Spot


Usable = Iterable[tuple[str, "list[Guess]"]]


def register(command: Register) -> None:
    """Add the commands to the parser."""
    sub = command(_predict, "classify images with a trained model")
    sub.add_argument("paths", nargs="+", type=Path, metavar="IMAGE|FOLDER", help="a file, a folder, an archive")
    sub.add_argument("--top", type=count, default=2, metavar="K", help="show the K most likely classes; default: 2")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print a JSON array")
    how.add_argument("--csv", action="store_true", help="print CSV")
    _add_model(sub)
    sub = command(_export, "export a trained model to ONNX or PyTorch's format, with a model card")
    sub.add_argument("--format", choices=FORMATS, help="default: by the extension of FILE, else onnx")
    sub.add_argument("--output", type=Path, metavar="FILE", help=f"default: {FILES[ONNX]} and the like")
    _add_model(sub)


def _add_model(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--model", type=Path, default=paths.MODEL, metavar="DIR", help=f"default: {paths.MODEL}")


def _predict(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from pipeline.commands.serve.predicting import answers
    from pipeline.evaluation.inference import Trained, require
    from pipeline.ingestion.scan import find
    from pipeline.params import read_params

    params = read_params()
    require(args.model)
    trained = Trained.read(args.model, params.compute)
    spots = [spot for top in args.paths for spot in find(top)]
    refused: list[tuple[str, Refusal]] = []
    usable = _usable(answers(spots, trained, params, top=args.top), refused)
    for line in (
        _json(usable)
        if args.json
        else _csv(usable, min(args.top, len(trained.spec.classes)))
        if args.csv
        else _table(usable, spots, trained)
    ):
        with tqdm.external_write_mode():  # Hides the progress bar while the line is printed.
            print(line, flush=True)
    for name, (reason, detail) in refused:
        print(f"pipeline: {shown(name)}: {reason} ({shown(detail)})", file=sys.stderr)
    return 1 if refused else 0


def _export(args: argparse.Namespace) -> int:
    from pipeline.commands.serve.card import write_card
    from pipeline.commands.serve.card_facts import gather
    from pipeline.commands.serve.export import export
    from pipeline.evaluation.inference import require
    from pipeline.params import read_params

    kind, output = chosen(args.format, args.output)
    params = read_params()
    require(args.model)
    facts = gather(args.model, params)
    done = export(args.model, output, params, kind)
    print(f"exported {shown(str(output))}, {done.size / 2**20:.1f} MiB: {_checked(done)}")
    print(f"model card: {shown(str(write_card(facts, output, done.measured)))}")
    return 0


def _checked(done: "Exported") -> str:
    if done.measured is None:
        return f"checked on {done.images} images, largest difference {done.difference:.0e}"
    accuracy, floats, agreement, images, calibrated = done.measured
    return (
        f"test accuracy {percent(accuracy)} (in floats {percent(floats)}) on {counted(images, 'image')}, "
        f"the same class for {percent(agreement)}; calibrated on {counted(calibrated, 'training image')}"
    )


def _usable(told: Iterable["Answer"], refused: list[tuple[str, "Refusal"]]) -> Usable:
    """Yield the usable images of `told`; append the others to `refused`."""
    for name, guesses in told:
        if isinstance(guesses, list):
            yield name, guesses
        else:
            refused.append((name, guesses))


def _json(usable: Usable) -> Iterator[str]:
    from pipeline.commands.serve.predicting import as_object

    yield "["
    before = None
    for name, guesses in usable:
        if before:
            yield f"{before},"
        before = json.dumps(as_object(name, guesses), ensure_ascii=False, allow_nan=False)
    yield from filter(None, [before, "]"])


def _csv(usable: Usable, top: int) -> Iterator[str]:
    further = (f"{column}_{rank}" for rank in range(2, top + 1) for column in ("class", "confidence"))
    header = ["file", "class", "confidence", *further]
    return csv_lines(chain([header], ([name, *chain.from_iterable(guesses)] for name, guesses in usable)))


def _table(usable: Usable, spots: Iterable["Spot"], trained: "Trained") -> Iterator[str]:
    wide = max(len(shown(name)) for name in ("file", *(spot.name for spot in spots)))
    broad = max(len(shown(name)) for name in ("class", *trained.spec.classes))
    yield f"{'file':{wide}}  {'class':{broad}}  confidence  runner-up"
    for name, ((label, share), *rest) in usable:
        others = ", ".join(f"{shown(other)} {percent(less)}" for other, less in rest)
        yield f"{shown(name):{wide}}  {shown(label):{broad}}  {percent(share):>10}  {others}".rstrip()
