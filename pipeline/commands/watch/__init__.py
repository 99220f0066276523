"""`pipeline watch`: run `dvc repro` once new images have been copied completely."""
