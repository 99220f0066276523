"""`pipeline classes`: list classes, and rename, merge, split or drop them."""
