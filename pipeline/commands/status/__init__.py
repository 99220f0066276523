"""`pipeline status`: what `dvc repro` would do, and why."""
