"""Uploads are decoded in a few processes, any of which may crash."""

import asyncio

import numpy as np
import psutil
import pytest
from PIL import Image
from support.drawn import CLASSES, set_params
from support.kinds import noise

from pipeline.commands.serve.in_memory import bytes_of
from pipeline.commands.serve.preprocessing import view_of
from pipeline.commands.server.decoders import Decoders
from pipeline.ingestion.refusals import Refusal
from pipeline.models.network import Spec
from pipeline.params import read_params

SPEC = Spec(model="small", size=8, mode="rgb", classes=CLASSES)


@pytest.fixture(autouse=True)
def _here(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write params."""
    monkeypatch.chdir(str(tmp_path))
    set_params()


def processes() -> set[int]:
    """Return the decoding processes."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "popen_loky" in " ".join(child.cmdline())}


def test_many_at_once() -> None:
    """More images than processes are all decoded correctly, with no more processes than allowed."""
    ingest = read_params().ingest
    images = [bytes_of(noise(seed), "") for seed in range(12)]
    before = processes()

    async def decode() -> tuple[list[object], int]:
        decoders = Decoders(2)
        seen = await asyncio.gather(*(decoders.decode(image, ingest, SPEC) for image in images))
        count = len(processes() - before)
        decoders.close()
        return list(seen), count

    seen, count = asyncio.run(decode())
    wanted = [view_of(image, ingest, size=SPEC.source, framing=SPEC.framing) for image in images]
    np.testing.assert_array_equal(np.stack(seen), np.stack(wanted))  # type: ignore[arg-type]
    assert 1 <= count <= 2


def test_what_takes_too_long() -> None:
    """An image that takes too long is refused, and its process is ended; another process decodes the next image."""
    ingest, image = read_params().ingest, bytes_of(Image.new("L", (9, 9)), "")

    async def decode() -> list[object]:
        hurried, patient = Decoders(1, seconds=0), Decoders(1)
        told = [await hurried.decode(image, ingest, SPEC), await patient.decode(image, ingest, SPEC)]
        patient.close()
        return list(told)

    late, seen = asyncio.run(decode())
    assert late == Refusal("too large", "takes more than 0 seconds to decode")
    assert isinstance(seen, np.ndarray)
    assert seen.shape == (3, 8, 8)
