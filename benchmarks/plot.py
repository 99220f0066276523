"""Draws what accuracy costs: `python benchmarks/plot.py accuracy.csv accuracy.svg`."""

import sys

import pandas as pd
from scratch import ROOT

sys.path.append(str(ROOT / ".venv/bench"))

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "treering", "svg.fonttype": "none", "axes.spines.top": False, "font.size": 9})
from matplotlib import pyplot as plt  # noqa: E402

SCRATCH, OTHER, BASE = "from scratch, with a schedule", "from scratch", "the base itself"


def main(table: str, picture: str) -> None:
    """A panel for each data set: accuracy beyond training from scratch; a dot for each seed, a bar for their mean."""
    results = pd.read_csv(table)
    results = results[results["row"] != BASE]
    data = list(results["data"].unique())
    rows = results.groupby("data")[["generations", "row"]].apply(lambda here: len(here.drop_duplicates()))
    size = (4.5 * len(data) + 1, 0.28 * rows.max() + 1)
    figure, panels = plt.subplots(1, len(data), figsize=size, squeeze=False, layout="constrained")
    for panel, name in zip(panels[0], data, strict=True):
        here, labels = results[results["data"] == name], []
        scratch = here[here["row"] == SCRATCH].set_index("seed")["accuracy"]
        steps = here[here["row"] == OTHER]["steps"].iloc[0]
        for place, ((cut, row), seeds) in enumerate(here.groupby(["generations", "row"], sort=False)):
            gaps = seeds["accuracy"].to_numpy() - scratch.loc[seeds["seed"]].to_numpy()
            panel.plot(gaps, [place] * len(gaps), "o", color="0.6", markersize=4)
            panel.plot([gaps.mean()], [place], "|", color="C0", markersize=14, markeredgewidth=2)
            what = f"{cut} generations, {row}" if cut else row
            labels.append(f"{what}: {seeds['steps'].mean() / steps:.0%} of the steps")
        panel.axvline(0, color="0.8", zorder=0)
        panel.set(title=name, xlabel=f"points beyond training {SCRATCH}")
        panel.set_yticks(range(len(labels)), labels)
        panel.invert_yaxis()
        panel.spines["right"].set_visible(False)
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
