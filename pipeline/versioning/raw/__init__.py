"""What belongs to data/raw, be it here or not: what DVC lists, without what was removed, and with what came."""
