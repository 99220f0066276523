"""`train.precision`: the choice of `auto`, and no device computes in another format than requested."""

import pytest
import torch

from pipeline.errors import ParamError
from pipeline.models.precision import precision_on
from pipeline.param_types import Format

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("has_bf16", [True, False])
def test_auto_is_bf16_where_a_gpu_has_it(monkeypatch: pytest.MonkeyPatch, *, has_bf16: bool) -> None:
    """`auto` is bf16 if the GPU supports it natively, else single precision."""
    monkeypatch.setattr(
        "torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or has_bf16
    )
    assert precision_on(GPU, "auto") == ("bf16-mixed" if has_bf16 else "32-true")
    assert precision_on(CPU, "auto") == precision_on(torch.device("mps"), "auto") == "32-true"


@pytest.mark.parametrize("wanted", ["32-true", "bf16-mixed", "16-mixed"])
def test_what_is_asked_for_is_used(monkeypatch: pytest.MonkeyPatch, wanted: Format) -> None:
    """The requested precision is used, or it is a one-line error with the device and the param."""
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla T4")
    for where, lacking, said in (
        (CPU, "16-mixed", "'16-mixed', which CPUs do not support; set it to bf16-mixed or 32-true, or train on a GPU"),
        (GPU, "bf16-mixed", "'bf16-mixed', which Tesla T4 does not support; set it to auto, 16-mixed or 32-true"),
    ):
        if wanted != lacking:
            assert precision_on(where, wanted) == wanted
            continue
        with pytest.raises(ParamError) as raised:
            precision_on(where, wanted)
        assert str(raised.value) == f"params.yaml: train.precision is {said}"
