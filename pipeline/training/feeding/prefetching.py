"""Transfer batches to the training device while the previous step is still running."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from pipeline.models.device import to_device

# A tensor, or a (named) tuple of tensors, tuples and other values.
Batch = TypeVar("Batch", bound=Tensor | tuple[Any, ...])

# Stream priority above the default: the work is small, and the next step waits for it.
FIRST = -1


def prefetch(batches: Iterable[Batch], where: torch.device) -> Iterator[Batch]:
    """Yield `batches` on the device `where`.

    On a GPU, everything that computes them, also inside `batches`, runs in a stream of its own, in parallel with the
    work that is already queued. The CPU gets each batch at once, and the GPU waits for the batch where it uses it.
    """
    if where.type != "cuda":
        yield from (_moved(batch, where) for batch in batches)
        return
    aside, waiting, end = _aside(where), iter(batches), object()
    aside.wait_stream(torch.cuda.current_stream(where))  # Its queued work may produce inputs of the batches.
    while True:
        with torch.cuda.stream(aside):
            batch: Any = next(waiting, end)
            if batch is end:
                return
            batch = _moved(batch, where)
        here = torch.cuda.current_stream(where)
        here.wait_stream(aside)
        for tensor in _tensors(batch):
            tensor.record_stream(here)  # Otherwise the allocator may reuse its memory before it was read.
        yield batch


@cache
def _aside(where: torch.device) -> torch.cuda.Stream:
    """Return the prefetch stream, always the same one: freed memory is only reused in the stream that used it."""
    return torch.cuda.Stream(where, priority=FIRST)  # type: ignore[no-untyped-call]


def _moved(batch: Any, where: torch.device) -> Any:
    """Return `batch` on the device `where`."""
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
