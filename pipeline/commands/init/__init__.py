"""`pipeline init`: creates a new project with the code of this release and none of this repository's data."""
