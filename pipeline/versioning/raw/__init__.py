"""Which files belong to data/raw, present locally or not: those that DVC lists, without removed and with new files."""
