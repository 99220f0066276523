"""Opens one image by Pillow, pillow-heif or pydicom, and makes it uniform; exported together with models."""
