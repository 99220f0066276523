"""`pipeline try`: check that the params work, and estimate memory and training time; nothing is kept."""
