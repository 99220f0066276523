"""Random changes to whole batches of training images, each image's own a function of (seed, turn, id)."""
