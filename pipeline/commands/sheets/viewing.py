"""Thumbnails of images at any place, including images that ingest refuses; they are decoded in other processes."""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import BytesIO

from PIL import Image, ImageFile
from tqdm import tqdm

from pipeline.ingestion.decoding import Job, KnownIds, Place, decode
from pipeline.ingestion.pictures.formats import opened
from pipeline.ingestion.pictures.memory import MUCH_MEMORY, bytes_of_coefficients, bytes_of_pixels
from pipeline.ingestion.pictures.uniform import JPEGS
from pipeline.ingestion.pictures.values import as_grey, bounds_of, is_deep
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.pages.pictures import SIDE, bounded, data_uri
from pipeline.params import Ingest, Params

# Maximum number of pictures on a page; their total size is limited, too (see `bounded`).
MOST = 600


def view(places: Sequence[Place], params: Params) -> dict[Place, str]:
    """Return thumbnails of the images at the first `MOST` of `places`, as data URIs.

    Images that cannot be shown are left out, and so are the last ones if the total size exceeds the limit.
    """
    wanted = list(dict.fromkeys(places))[:MOST]
    # Archives are read in member order, since any other order is slow in compressed ones.
    ordered = sorted(wanted, key=lambda place: (place.path, place.position))
    ingest = params.ingest.model_copy(update={"animations": "first", "size": 2 * SIDE})
    job = Job(KnownIds(()), ingest, _as_address, make_visible)
    bar = tqdm(decode(ordered, job, params.compute.workers), "drawing", len(ordered), unit=" images", disable=None)
    made = {one.place: one.result.data.decode() for one in bar if isinstance(one.result, Picture)}
    shown = [place for place in wanted if place in made]
    return bounded(shown, (made[place] for place in shown))


def make_visible(
    raw: bytes, params: Ingest, *, one_at_a_time: AbstractContextManager[object], md5: str | None = None
) -> Picture | Refusal:
    """Like `make_uniform`, but return what can be shown of a refused image."""
    made = make_uniform(raw, params, md5=md5, one_at_a_time=one_at_a_time)
    if isinstance(made, Picture):
        return made
    mended = _mended(raw)
    return make_uniform(mended, params) if mended else made


def _as_address(picture: Picture) -> Picture:
    return picture._replace(data=data_uri(Image.open(BytesIO(picture.data))).encode())


def _mended(raw: bytes) -> bytes | None:
    """Return a PNG thumbnail of what Pillow can decode of `raw`; None if that is nothing, or needs much memory."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        with warnings.catch_warnings(action="ignore"), opened(raw) as image:
            coefficients = bytes_of_coefficients(image, raw) if image.format in JPEGS else 0
            if bytes_of_pixels(image) + coefficients + len(raw) > MUCH_MEMORY:
                return None
            shown, out = image.convert("F" if is_deep(image) else "RGB"), BytesIO()
            shown.thumbnail((SIDE, SIDE))
            if shown.mode == "F":
                shown = as_grey(shown, bounds_of(shown, "percentile")).convert("L")
            shown.save(out, "PNG")
            return out.getvalue()
    except Exception:  # noqa: BLE001 (Pillow's decoders raise nearly anything on damaged bytes)
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
