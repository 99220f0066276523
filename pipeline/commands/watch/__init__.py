"""`pipeline watch`: runs `dvc repro` when new images have settled."""
