"""One image by Pillow, or a reader of HEIC or DICOM: what its file says, made uniform; exported with models."""
