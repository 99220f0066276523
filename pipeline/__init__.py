"""Treering: an image-training pipeline that grows with its data."""

import os

# PyTorch gives memory back and asks for it again with each batch; in small pages that takes a quarter of the time on
# CPUs. It reads this once, when it first needs memory.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
