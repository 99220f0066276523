"""`pipeline log`, `replay` and `trace`: the models that Git's history records."""
