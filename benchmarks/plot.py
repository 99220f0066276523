"""Draws what accuracy costs: `python benchmarks/plot.py accuracy.csv accuracy.svg`."""

import sys

import pandas as pd
from scratch import ROOT

sys.path.append(str(ROOT / ".venv/bench"))

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "treering", "svg.fonttype": "none", "axes.spines.top": False, "font.size": 9})
from matplotlib import pyplot as plt  # noqa: E402

STUDIES = {0: "one generation of +10 %", 10: "the last of ten of +10 %"}


def main(table: str, picture: str) -> None:
    """A panel for each study: accuracy beyond training from scratch; a dot for each seed, a bar for their mean."""
    results = pd.read_csv(table)
    results = results[results["row"] != "the base itself"]
    data = list(results["data"].unique())
    figure, panels = plt.subplots(len(data), 2, figsize=(9, 2.4 * len(data)), squeeze=False, layout="constrained")
    for row, name in enumerate(data):
        for panel, (generations, what) in zip(panels[row], STUDIES.items(), strict=True):
            here = results[(results["data"] == name) & (results["generations"] == generations)]
            scratch, labels = here[here["row"] == "from scratch"].set_index("seed"), []
            for place, (policy, seeds) in enumerate(here.groupby("row", sort=False)):
                gaps = seeds["accuracy"].to_numpy() - scratch["accuracy"].loc[seeds["seed"]].to_numpy()
                panel.plot(gaps, [place] * len(gaps), "o", color="0.6", markersize=4)
                panel.plot([gaps.mean()], [place], "|", color="C0", markersize=14, markeredgewidth=2)
                labels.append(f"{policy}, {seeds['steps'].iloc[0] / scratch['steps'].iloc[0]:.0%} of the steps")
            panel.axvline(0, color="0.8", zorder=0)
            panel.set_xscale("symlog", linthresh=1)
            panel.set_xticks([-50, -5, -1, -0.5, 0, 0.5, 1], ["−50", "−5", "−1", "", "0", "", "1"])
            panel.set(title=f"{name}: {what}", xlabel="points beyond training from scratch")
            panel.set_yticks(range(len(labels)), labels if not generations else [])
            panel.invert_yaxis()
            panel.spines["right"].set_visible(False)
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
