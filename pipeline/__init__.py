"""Treering: an image-training pipeline that grows with its data."""

import time

STARTED = time.monotonic()
"""When this process began to load the pipeline: what it loads first takes seconds, too."""
