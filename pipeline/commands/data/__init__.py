"""`pipeline check`, `add`, `remove` and `pack`: images into data/raw and out of it."""
