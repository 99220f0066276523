"""A frozen backbone: a network without its head."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.features.code import code_of_network
from pipeline.files import md5_of_bytes
from pipeline.models.checkpoint import noise
from pipeline.models.device import to_device
from pipeline.models.features import head_of, look
from pipeline.models.network import Network, Spec

Features = npt.NDArray[np.float32]

# Every batch has this size: the last bits of an image's features depend on the batch size, but not on the other images.
BATCH = 32


def has_features(network: Network, spec: Spec) -> bool:
    """Whether the logits of `network`, built from `spec`, are the output of its head for one feature vector per image.

    The head must be a linear layer that is called once as a module, and its output must be the network's output: not
    scaled, not added to a second head's, not averaged over positions. The check replaces the output of the head.
    """
    head = head_of(network)
    if not isinstance(head, nn.Linear):
        return False
    images = noise(spec, 2).to(network.get_buffer("mean").device)
    # Far from 0, so that clamped logits are noticed.
    other = torch.linspace(-1e4, 1e4, len(images) * head.out_features).reshape(len(images), -1).to(images.device)
    inputs: list[Tensor] = []

    def replaced(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        inputs.append(given[0])
        return other.expand_as(made) if made.shape == other.shape else made

    handle = head.register_forward_hook(replaced)
    try:
        with _predicting(network), torch.inference_mode(), torch.random.fork_rng(devices=[]):
            logits = network.forward(images)  # Not `network(images)`: compiled code would keep the hook.
    finally:
        handle.remove()
    return len(inputs) == 1 and inputs[0].shape == (len(images), head.in_features) and torch.equal(logits, other)


class Backbone:
    """The backbone of `network`, for which `has_features` must hold; each call uses the network's current weights."""

    def __init__(self, network: Network, spec: Spec) -> None:
        self._network, self._spec = network, spec
        head = head_of(network)
        assert isinstance(head, nn.Linear)
        self.width: int = head.in_features
        self._head = next(name for name, module in network.named_modules() if module is head)

    @property
    def where(self) -> torch.device:
        """The device that the backbone runs on."""
        return self._network.get_buffer("mean").device

    def __call__(self, images: Tensor) -> Features:
        """Return the features of `images` (n, channels, height, width), uint8: shape (n, width), float32.

        The features of an image are bit-identical, regardless of the other images.
        """
        found = np.empty((len(images), self.width), np.float32)
        with _predicting(self._network), torch.inference_mode():
            for start in range(0, len(images), BATCH):
                part = to_device(images[start : start + BATCH], self.where)
                whole = torch.cat([part, part[:1].expand(BATCH - len(part), -1, -1, -1)])
                found[start : start + BATCH] = look(self._network, whole).features[: len(part)].cpu().numpy()
        return found

    @cached_property
    def name(self) -> str:
        """A hexadecimal hash of the backbone's weights, its code and its features of noise images.

        Computed on first access.

        Raises:
            ParamError: a file of the project's own code is missing or is not valid Python.
        """
        weights = {
            name: value.cpu().contiguous().numpy().tobytes()
            for name, value in self._network.state_dict().items()
            if not name.startswith(f"{self._head}.")
        }
        hashes = [f"{name} {md5_of_bytes(weights[name])}" for name in sorted(weights)]
        # The bits of the features depend on the device and the processor, too.
        made = self(noise(self._spec, BATCH)).tobytes()
        facts = [*hashes, md5_of_bytes(made), code_of_network(self._spec.model), f"{self._spec.size}"]
        return md5_of_bytes("\n".join(facts).encode())


@contextmanager
def _predicting(network: Network) -> Iterator[None]:
    """Put `network` into evaluation mode; afterwards restore the mode of each layer."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
