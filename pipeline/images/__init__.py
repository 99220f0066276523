"""The stored images: the index over them, shards, pixels, the cache of decoded ones, the images of a split."""
