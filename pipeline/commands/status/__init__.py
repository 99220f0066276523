"""`pipeline status`: show what `dvc repro` would do, and why."""
