"""Stage 4: data/manifest/test.csv, data/model and data/base → data/report. Measures the model, and the base beside it.

Run by `dvc repro`, or alone as `python -m pipeline.evaluate`.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from tqdm import tqdm

from pipeline import paths, store
from pipeline.base import reason_for_none
from pipeline.checkpoint import read_network
from pipeline.dataset import load, read_manifest
from pipeline.device import device
from pipeline.lineage import RECORDED, Recorded, read_lineage
from pipeline.params import Params
from pipeline.publish import write_text
from pipeline.stack import in_batches
from pipeline.stage import Done, main

CONFUSION = paths.REPORT / "confusion.csv"


def evaluate(params: Params) -> Done:
    """Measure data/model, and data/base where it holds a model, on the test split; returns the figures."""
    test = read_manifest("test")
    predictions = predict(paths.MODEL, test, params)
    metrics = measure(test["label"], predictions)
    has_base = reason_for_none(paths.BASE) is None
    base = measure(test["label"], predict(paths.BASE, test, params)) if has_base else None
    paths.REPORT.mkdir(parents=True, exist_ok=True)
    lineage = read_lineage(paths.MODEL)
    recorded = Recorded(model=store.directory_hash(paths.MODEL), **lineage.model_dump())
    write_text(RECORDED, recorded.model_dump_json(indent=2) + "\n")
    write_text(paths.METRICS, json.dumps({**metrics, "validation": lineage.validation, "base": base}, indent=2) + "\n")
    confusion = pd.DataFrame({"actual": test["label"], "predicted": predictions.idxmax(axis="columns")})
    write_text(CONFUSION, confusion.to_csv(index=False, lineterminator="\n"))
    if not len(test):
        return Done("no test images yet, so nothing is measured", 0)
    change = f", the base {base['accuracy']:.1%}" if base else ""
    figures = f"accuracy {metrics['accuracy']:.1%}{change} on {len(test):,} test images"
    return Done(f"{figures}; macro F1 {metrics['macro_f1']:.3f}", len(test) * (1 + has_base))


def predict(model: Path, manifest: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The probability that the model in the folder `model` gives each class: a row an image, a column a class."""
    network, spec = read_network(model)
    images = load(manifest, mode=spec.mode, size=spec.size, compute=params.compute).images
    where = device(params.compute)
    network.to(where)
    torch.use_deterministic_algorithms(mode=True)
    batches = in_batches(np.arange(len(images)), params.compute.batch_size)
    with torch.inference_mode():
        # In double precision the rows sum to 1 as exactly as scikit-learn wants.
        chunks = [
            network(torch.from_numpy(batch).to(where)).double().softmax(1).cpu().numpy()
            for batch in tqdm(images.batches(batches), f"predicting with {model}", len(batches), disable=None)
        ]
    probabilities = np.concatenate(chunks) if chunks else np.empty((0, len(spec.classes)))
    return pd.DataFrame(probabilities, columns=list(spec.classes))


def measure(labels: pd.Series, probabilities: pd.DataFrame) -> dict[str, float | int | None]:
    """Accuracy, macro F1 over the classes among `labels`, mean log loss, and their support.

    A class that the model does not know has a probability of zero, which log loss clips to the smallest number
    (see scikit-learn). Without images there is nothing to measure, and the figures are None.
    """
    if not len(labels):
        return {"accuracy": None, "macro_f1": None, "loss": None, "support": 0}
    predicted = probabilities.idxmax(axis="columns")
    classes = sorted({*labels, *probabilities.columns})
    everything = probabilities.reindex(columns=classes, fill_value=0.0)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, labels=sorted(set(labels)), average="macro", zero_division=0)),
        "loss": float(log_loss(labels, everything, labels=classes)),
        "support": len(labels),
    }


if __name__ == "__main__":
    main("evaluate", evaluate)
