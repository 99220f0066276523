"""`pipeline log`, `replay` and `trace`: what Git's history records of models."""
