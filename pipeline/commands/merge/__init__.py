"""`pipeline setup`, `resolve` and `sync`: branches that train, merged through Git."""
