"""`pipeline report` and `pipeline compare`: pages about evaluations in the workspace or at any commit."""
