"""What a model says of images: a probability for each class."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pipeline.checkpoint import read_network
from pipeline.dataset import load
from pipeline.device import device
from pipeline.params import Params
from pipeline.stack import in_batches


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
