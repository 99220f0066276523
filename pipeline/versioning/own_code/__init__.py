"""A project's own code, which params name: its source files, and their listing in dvc.yaml."""
