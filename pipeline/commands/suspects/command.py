"""`pipeline suspects`: list training images whose labels may be wrong."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.commands.parsing import Register
from pipeline.commands.terminal import print_table
from pipeline.text import counted, shown

if TYPE_CHECKING:
    import pandas as pd

# Maximum number of printed rows.
MOST = 20


def register(command: Register) -> None:
    """Add `pipeline suspects`."""
    sub = command(_suspects, "list training images whose label may be wrong")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="write all of them to a CSV file")
    sub.add_argument("--json", action="store_true", help="print all of them as JSON")


def _suspects(args: argparse.Namespace) -> int:
    from pipeline.commands.suspects.ranking import rank, write_csv
    from pipeline.evaluation.inference import require
    from pipeline.params import read_params

    params = read_params()
    require(paths.MODEL)
    ranking = rank(params)
    if args.csv:
        write_csv(ranking.suspects, args.csv)
    if args.json:
        rows = ranking.suspects.astype(object).where(ranking.suspects.notna(), None).to_dict("records")
        print(json.dumps({"images": ranking.images, "suspects": rows}, indent=2, ensure_ascii=False))
        return 0
    _print(ranking.suspects.head(MOST))
    few = counted(len(ranking.suspects), "suspect")
    hint = (
        f"; all of them are in {args.csv}" if args.csv else "" if len(ranking.suspects) <= MOST else "; --csv has all"
    )
    print(shown(f"{few} among {counted(ranking.images, 'training image')}{hint}"))
    return 0


def _print(suspects: "pd.DataFrame") -> None:
    if not len(suspects):
        return
    columns = ["source", "label", "suggested", "score", "reason"]
    rows = [[shown(str(cell)) for cell in row] for row in suspects[columns].itertuples(index=False)]
    print_table([columns, *rows])
