"""A deletion request: everything that holds an image, or was made of it, found and deleted."""
