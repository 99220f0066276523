"""`pipeline setup`, `resolve` and `sync`: merging branches that train, through Git."""
