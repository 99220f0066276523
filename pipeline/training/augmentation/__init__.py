"""Augmentation of whole batches; the random changes of each image depend only on (seed, turn, id)."""
