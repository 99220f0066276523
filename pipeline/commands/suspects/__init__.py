"""`pipeline suspects`: the training images whose label may be wrong, ranked by the model's features."""
