"""Where a model comes from, which other models Git's history records, and which one the next training starts from."""
