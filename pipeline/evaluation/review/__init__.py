"""Which images to look at: labels that are contradicted, images unlike all others, new images unlike the known ones."""
