"""A model's predictions on the test images, the metrics computed from them, and whether it may be the next base."""
