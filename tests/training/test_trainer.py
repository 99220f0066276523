"""Requirements that are checked before training starts."""

import pytest
from conftest import ROOT

from pipeline.errors import ParamError
from pipeline.params import read_params

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = pytest.mark.xdist_group("lightning")


@pytest.mark.parametrize(
    ("devices", "parts", "said"),
    [
        (2, 1, "among 2 devices; make it 8 or more, or lower compute.devices"),
        (1, 2, "in train.accumulate 2 parts; make it 8 or more, or lower train.accumulate"),
        (2, 2, "among 2 devices and in train.accumulate 2 parts; make it 16 or more"),
    ],
)
def test_images_for_each_device_and_part(devices: int, parts: int, said: str) -> None:
    """Each device and part needs two images, also in a smaller step; the error says what to change."""
    from pipeline.training.trainer import prepare

    params = read_params(ROOT / "params.yaml")
    compute = params.compute.model_copy(update={"devices": devices, "accelerator": "cpu"})
    for size in (4 * devices * parts - 1, 4 * devices * parts):
        train = params.train.model_copy(update={"batch_size": size, "accumulate": parts})
        here = params.model_copy(update={"train": train, "compute": compute})
        if size == 4 * devices * parts:
            prepare(here)
            continue
        with pytest.raises(ParamError) as raised:
            prepare(here)
        assert f"train.batch_size {size} is too small to be shared out {said}" in str(raised.value)
