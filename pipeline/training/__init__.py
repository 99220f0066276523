"""One generation: what it starts from, the order of its images, its steps, and what is saved on the way."""
