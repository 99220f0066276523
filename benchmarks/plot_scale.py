"""Plots time and memory by the number of images: `python benchmarks/plot_scale.py scale.csv scale.svg`."""

import sys

import pandas as pd
from scratch import ROOT

sys.path.append(str(ROOT / ".venv/bench"))

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "treering", "svg.fonttype": "none", "axes.spines.top": False, "font.size": 9})
from matplotlib import pyplot as plt  # noqa: E402

SIDES = (("processor", "seconds of a core"), ("MiB", "peak memory, MiB"))


def main(table: str, picture: str) -> None:
    """Plot CPU seconds and memory against the number of images, with a line for each stage and kind of addition."""
    measured = pd.read_csv(table)
    figure, panels = plt.subplots(1, len(SIDES), figsize=(8, 3.5), layout="constrained")
    for panel, (column, what) in zip(panels, SIDES, strict=True):
        for (name, stage), here in measured.groupby(["name", "stage"], sort=False):
            medians = here.groupby("images")[column].median()
            label = "manifest, all new" if name == "manifest" else f"{stage}, one image added, {name} ones known"
            panel.plot(medians.index, medians, "o-", markersize=3, label=label)
        panel.set(xscale="log", yscale="log", xlabel="images", title=what)
        panel.spines["right"].set_visible(False)
    panels[0].legend(frameon=False, fontsize=7)
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
