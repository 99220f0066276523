"""Makes one image uniform: the pure function that ingest applies to each new image.

The conversion is in `pictures/uniform.py`; this module adds the hashes that ingest stores, and the reasons of refusals.
"""

from contextlib import AbstractContextManager
from typing import NamedTuple

from PIL import UnidentifiedImageError

from pipeline.errors import one_line
from pipeline.files import md5_of_bytes
from pipeline.ingestion.perceptual_hash import PerceptualHash, perceptual_hash
from pipeline.ingestion.pictures.uniform import NO_GATE, Form, uniform
from pipeline.ingestion.pictures.unusable import UnusableError
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking.kinds import UNPACK, ZIP, image_kind_of, kind_of
from pipeline.params import Ingest

# Increase it whenever the stored bytes, the perceptual key or the descriptor of any image change: all images are then
# re-created.
VERSION = 2


class Picture(NamedTuple):
    """An image in the form in which it is stored, with its hashes."""

    data: bytes
    md5: str
    """The MD5 of `data`, in hexadecimal."""
    suffix: str
    width: int
    height: int
    shows: PerceptualHash
    remark: str = ""
    """The range of its values, if it is a small part of the possible range; else empty."""
    reader: str = ""
    """What the bytes depend on besides the recipe, see `formats.reader_of`."""
    patient: str = ""
    """A hash of the patient's ID in a DICOM file; else empty."""


def make_uniform(
    raw: bytes,
    params: Ingest,
    *,
    md5: str | None = None,
    one_at_a_time: AbstractContextManager[object] = NO_GATE,
) -> Picture | Refusal:
    """Return the image in the bytes `raw` as it will be stored, or why it cannot be used.

    `md5` is the MD5 of `raw`, if it is known. `one_at_a_time` is entered while an image is decoded that takes much
    memory.
    """
    if not raw:
        return Refusal("empty", "0 bytes")
    try:
        form = Form(params.mode, params.size, params.animations, params.range)
        data, suffix, width, height, shown, *more = uniform(raw, form, one_at_a_time=one_at_a_time)
        stored = md5 if md5 and data is raw else md5_of_bytes(data)
        return Picture(data, stored, suffix, width, height, perceptual_hash(shown), *more)
    except UnusableError as error:
        return Refusal(*error.args)
    except UnidentifiedImageError:
        return _unknown(raw)
    except MemoryError:
        return Refusal("too large", "does not fit into memory")
    except Exception as error:  # noqa: BLE001 (Pillow's decoders raise nearly anything on damaged bytes)
        said = one_line(error)
        return Refusal("truncated" if "truncated" in said.lower() else "broken", said)


def _unknown(raw: bytes) -> Refusal:
    """Return the refusal of bytes in an unsupported format."""
    if archive := kind_of(raw):
        return Refusal("unsupported archive", f"{archive}; {UNPACK}")
    if raw.startswith(ZIP):
        return Refusal(
            "not an image", "its bytes are those of a zip file; archives are known by their names, such as a.zip"
        )
    kind = image_kind_of(raw)
    if kind is None:
        return Refusal("not an image", "in no format that is known")
    return Refusal("unsupported format", f"{kind}; not read here, convert it to PNG or JPEG")
