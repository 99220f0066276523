"""Decodes new images of data/raw and keeps them in a journal, locally and shared, until they are published."""
