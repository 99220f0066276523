"""Determines the class of an image, from labels.csv, from `ingest.strip` and from its folder."""
