"""What a model makes of the test images, what is measured of that, and whether it may be the next base."""
