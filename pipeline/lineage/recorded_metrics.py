"""data/report/metrics.json: what evaluate measured last."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.versioning.lock import checkout_hint


def read_metrics() -> Mapping[str, Any] | None:
    """What it says, None where there is none.

    Raises:
        RecordError: it cannot be read, because a merge left its marks in it, say.
    """
    try:
        metrics = json.loads(paths.METRICS.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        metrics = None
    if not isinstance(metrics, dict):
        raise RecordError(paths.METRICS, "no JSON of what was measured", checkout_hint(paths.METRICS))
    return metrics
