"""`pipeline upgrade`: shows what another release of the code changes for this project, and adapts its records."""
