"""Which class an image is of: what labels.csv says, what `ingest.strip` says, and what its folder says."""
