"""Where a model comes from, what Git's history records of others, and which one the next training starts from."""
