"""Images that are stored smaller than training has them, which it enlarges: no error, and seldom meant."""

from pipeline.models.framing import source_of
from pipeline.params import Params


def enlargement(params: Params, share: float) -> str:
    """What that means and what to do, empty where it is not so; `share` is the number that `train.crop_pct` is."""
    stored, source = params.ingest.size, source_of(params.train.size, share)
    if source <= stored:
        return ""
    by = "train.size" if share == 1 else "train.size / train.crop_pct"
    larger = f"images of {stored} pixels (ingest.size) are enlarged to {source} ({by})"
    return f"{larger}: ingest.size {source} keeps the detail of larger files, and decodes all images again"
