"""The commands `pipeline report` and `pipeline compare`: show an evaluation, or compare two."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register, port
from pipeline.commands.sheets.saving import page
from pipeline.commands.terminal import print_table
from pipeline.text import percent, shown

if TYPE_CHECKING:
    from pipeline.commands.report.versions import Version

PORT = 8001
WORKSPACE = "workspace"


def register(command: Register) -> None:
    """Add the commands to the parser."""
    sub = command(_report, "find, open or serve the report on the model, or that of a commit")
    sub.add_argument(
        "revision",
        nargs="?",
        default=WORKSPACE,
        metavar="REV",
        help="a commit, branch, tag or experiment; default: the workspace",
    )
    sub.add_argument("--open", action="store_true", help="open it in the browser")
    sub.add_argument("--serve", action="store_true", help="serve it on 127.0.0.1 until ^C")
    sub.add_argument("--port", type=port, default=PORT, metavar="N", help=f"0: any free port; default: {PORT}")
    sub.add_argument("--json", action="store_true", help="print the page's path and the verdict as JSON")
    sub = command(_compare, "compare two evaluations: figures, classes, and the images whose answer changed")
    sub.add_argument("a", metavar="A", help="a commit, branch, tag or experiment")
    sub.add_argument(
        "b",
        nargs="?",
        default=WORKSPACE,
        metavar="B",
        help="a commit, branch, tag or experiment; default: the workspace",
    )
    sub.add_argument("--html", type=page, metavar="FILE", help="write a page with pictures to FILE")
    sub.add_argument(
        "--open", action="store_true", help=f"open the page in the browser; without --html it is in {paths.PAGES}"
    )
    sub.add_argument("--json", action="store_true", help="print the full result as JSON")


def _report(args: argparse.Namespace) -> int:
    from pipeline.commands.report.hosting import host
    from pipeline.commands.report.versions import read_version

    version = read_version(args.revision)
    path = _page_of(version)
    accepted, accuracy = version.model.recorded.accepted, version.metrics.get("accuracy")
    generation = version.model.recorded.generation
    if args.json:
        facts = {"page": str(path), "generation": generation, "accepted": accepted, "accuracy": accuracy}
        print(json.dumps({**facts, "verdict": version.model.recorded.verdict}, indent=2, ensure_ascii=False))
    else:
        said = [f"generation {generation}", {True: "accepted", False: "not accepted", None: ""}[accepted]]
        said += [] if accuracy is None else [f"test accuracy {percent(accuracy)}"]
        print(f"{shown(str(path))}: {', '.join(filter(None, said))}")
    if args.serve:
        return host(path, args.port, partial(_tell, is_opened=args.open))
    if args.open:
        _open(path)
    return 0


def _compare(args: argparse.Namespace) -> int:
    from pipeline.commands.report.compare_lines import class_rows, figure_rows, sentences
    from pipeline.commands.report.compare_page import render
    from pipeline.commands.report.pairing import compare
    from pipeline.commands.report.versions import read_version
    from pipeline.commands.sheets.saving import save

    a, b = (read_version(name) for name in (args.a, args.b))
    found = compare(a, b)
    path: Path | None = args.html or (paths.PAGES / f"compare-{a.short}-{b.short}.html" if args.open else None)
    if path:
        if not args.html:
            path.parent.mkdir(parents=True, exist_ok=True)
        save(path, render(found))
    if args.json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        print_table(figure_rows(found))
        for sentence in sentences(found):
            print(sentence)
        if rows := class_rows(found):
            print_table(rows)
        if path:
            print(f"pictures: {shown(str(path))}")
        elif len(found.lost) or len(found.gained):
            print("--open, or --html FILE, shows the images")
    if path and args.open:
        _open(path)
    return 0


def _page_of(version: "Version") -> Path:
    """Return the path of the report of `version`; copy a report that is not in the workspace to data/pages."""
    from pipeline.evaluation.report.page import PAGE
    from pipeline.files import put_copy

    found = version.find(PAGE)
    if found == PAGE:
        return PAGE
    path = paths.PAGES / f"report-{version.short}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    put_copy(found, path)
    return path


def _tell(address: str, *, is_opened: bool) -> None:
    from pipeline.commands.report.opening import open_page

    print(f"serving it on {address}; ^C ends it", flush=True)
    if is_opened:
        open_page(address)


def _open(path: Path) -> None:
    from pipeline.commands.report.opening import open_page

    address = path.absolute().as_uri()
    if not open_page(address):
        print(f"no browser can be opened here; the page is {address}")
