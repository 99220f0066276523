"""The number format of training: `train.precision`."""

import torch

from pipeline.errors import ParamError
from pipeline.param_types import Format, Precision
from pipeline.paths import PARAMS


def precision_on(where: torch.device, wanted: Precision) -> Format:
    """Return the number format that `wanted` selects on the device `where`.

    Raises:
        ParamError: the device does not support it; Lightning and PyTorch would silently use another one or be slow.
    """
    if wanted == "auto":
        return "bf16-mixed" if where.type == "cuda" and _has_bf16() else "32-true"
    what = f"train.precision is {wanted!r}, which "
    if wanted == "16-mixed" and where.type == "cpu":
        raise ParamError(PARAMS, f"{what}CPUs do not support", "set it to bf16-mixed or 32-true, or train on a GPU")
    if wanted == "bf16-mixed" and where.type == "cuda" and not _has_bf16():
        hint = "set it to auto, 16-mixed or 32-true"
        raise ParamError(PARAMS, f"{what}{torch.cuda.get_device_name()} does not support", hint)
    return wanted


def _has_bf16() -> bool:
    """Whether the GPU supports bfloat16 in hardware, without emulation."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
