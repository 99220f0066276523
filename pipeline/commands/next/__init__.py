"""Chooses the images of an unlabelled folder that are most worth labelling, and copies them with proposed labels."""
