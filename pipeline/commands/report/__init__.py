"""`pipeline report` and `compare`: the pages of what evaluate measured, now and at any commit."""
