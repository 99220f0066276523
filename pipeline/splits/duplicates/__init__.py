"""Finds near-duplicates among images by their descriptors."""
