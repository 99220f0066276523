"""The training of one generation: its start, the order of its images, its steps, and its saved progress."""
