"""`pipeline check`, `add`, `remove` and `pack`: put images into data/raw and take them out."""
