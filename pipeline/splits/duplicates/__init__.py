"""Near-duplicates among images, found by what they show."""
