"""`pipeline init`: a project of one's own, with the code of this release and nothing of this repository's data."""
