"""`pipeline try`: whether what params name works, what it takes, and how long a training will be; nothing is kept."""
