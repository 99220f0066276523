"""Batches on their way to the device that trains, while the step before still computes."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from pipeline.models.device import to_device

# A tensor, or a tuple, which may be named, of such things and of others.
Batch = TypeVar("Batch", bound=Tensor | tuple[Any, ...])

# Before what else is computed: little work, which the next step waits for.
FIRST = -1


def prefetch(batches: Iterable[Batch], where: torch.device) -> Iterator[Batch]:
    """`batches` on the device `where`.

    On a GPU all that is computed for them, in `batches` too, runs next to what the GPU was told before, and not after
    it. The CPU gets a batch at once, and the GPU waits for it where it uses it.
    """
    if where.type != "cuda":
        yield from (_moved(batch, where) for batch in batches)
        return
    aside, waiting, end = _aside(where), iter(batches), object()
    aside.wait_stream(torch.cuda.current_stream(where))  # Which may have to make what batches are made of.
    while True:
        with torch.cuda.stream(aside):
            batch: Any = next(waiting, end)
            if batch is end:
                return
            batch = _moved(batch, where)
        here = torch.cuda.current_stream(where)
        here.wait_stream(aside)
        for tensor in _tensors(batch):
            tensor.record_stream(here)  # Or its memory might be given away before it was read.
        yield batch


@cache
def _aside(where: torch.device) -> torch.cuda.Stream:
    """A stream, always the same one: memory that was used in one stream is free for that one alone."""
    return torch.cuda.Stream(where, priority=FIRST)  # type: ignore[no-untyped-call]


def _moved(batch: Any, where: torch.device) -> Any:
    """`batch` on the device `where`."""
    if isinstance(batch, Tensor):
        return to_device(batch, where)
    if not isinstance(batch, tuple):
        return batch
    parts = [_moved(part, where) for part in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, tuple):
        for part in batch:
            yield from _tensors(part)
