"""A warning if stored images are smaller than training needs, so that it enlarges them, which is rarely intended."""

from pipeline.models.framing import source_of
from pipeline.params import Params


def enlargement(params: Params, share: float) -> str:
    """Return the warning, or an empty string if no image is enlarged; `share` is `train.crop_pct` as a number."""
    stored, source = params.ingest.size, source_of(params.train.size, share)
    if source <= stored:
        return ""
    by = "train.size" if share == 1 else "train.size / train.crop_pct"
    larger = f"images of {stored} pixels (ingest.size) are enlarged to {source} ({by})"
    return f"{larger}: ingest.size {source} keeps the detail of larger files, and decodes all images again"
