"""One image, by Pillow alone: what decoding it takes of memory, and how it is made uniform; exported with models."""
