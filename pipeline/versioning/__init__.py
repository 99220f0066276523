"""The records in dvc.lock, objects by hash in workspace, cache and remote, and data/raw as DVC and Git track it."""
