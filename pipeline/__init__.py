"""Treering: an image-training pipeline that grows with its data."""
