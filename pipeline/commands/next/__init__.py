"""Which images of an unlabelled folder are most worth labelling, and a folder of them with proposed labels."""
