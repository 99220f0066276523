"""Which image belongs to which split, and what differs between two versions of a split."""
