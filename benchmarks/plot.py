"""Plots the study of accuracy: `python benchmarks/plot.py accuracy.csv accuracy.svg`."""

import sys

import pandas as pd
from scratch import ROOT

sys.path.append(str(ROOT / ".venv/bench"))

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "treering", "svg.fonttype": "none", "axes.spines.top": False, "font.size": 9})
from matplotlib import pyplot as plt  # noqa: E402

SCRATCH, OTHER, FIRST = "from scratch, with a schedule", "from scratch", "the first model"


def main(table: str, picture: str) -> None:
    """Plot the gain over training from scratch: a panel for each data set, a dot for each seed, a bar for the mean."""
    results = pd.read_csv(table)
    results = results[~results["row"].str.startswith(FIRST)]
    data = list(results["data"].unique())
    rows = results.groupby("data")[["generations", "row"]].apply(lambda here: len(here.drop_duplicates()))
    heights = [rows[name] + 2 for name in data]
    size = (8, 0.22 * sum(heights))
    ratios = {"height_ratios": heights}
    figure, panels = plt.subplots(len(data), 1, figsize=size, squeeze=False, layout="constrained", gridspec_kw=ratios)
    for panel, name in zip(panels[:, 0], data, strict=True):
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
        panel.set_title(name, loc="left")
        panel.set_yticks(range(len(labels)), labels)
        panel.invert_yaxis()
        panel.spines["right"].set_visible(False)
    panel.set_xlabel(f"points beyond training {SCRATCH}")
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
