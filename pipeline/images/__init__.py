"""Stored images: the index, the shards, reading pixels, the cache of decoded images, and the images of a split."""
