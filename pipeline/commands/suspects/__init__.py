"""`pipeline suspects`: rank the training images whose labels may be wrong, by the model's features."""
