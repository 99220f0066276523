"""`pipeline classes`: what classes there are, and what becomes of them."""
