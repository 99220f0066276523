"""Code of a project's own, which params name: its source files, and dvc.yaml, which has to list them."""
