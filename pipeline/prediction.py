"""What a model says of images: a probability for each class."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.dataset import Located, pixels_of
from pipeline.params import Params
from pipeline.stack import in_batches
from pipeline.trained import Trained


def predict(model: Path, found: Located, params: Params) -> pd.DataFrame:
    """The probability that the model in the folder `model` gives each class: a row an image, a column a class.

    Raises:
        CheckpointError: there is no model, or it is damaged.
        ImagesError: an image was damaged.
    """
    trained = Trained.read(model, params.compute)
    spec = trained.spec
    images = pixels_of(found, mode=spec.mode, size=spec.size, compute=params.compute)
    batches = in_batches(np.arange(len(images)), params.compute.batch_size)
    bar = tqdm(images.batches(batches), f"predicting with {model}", len(batches), disable=None)
    chunks = [trained.probabilities(batch) for batch in bar]
    probabilities = np.concatenate(chunks) if chunks else np.empty((0, len(spec.classes)))
    return pd.DataFrame(probabilities, columns=list(spec.classes))
