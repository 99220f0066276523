"""`pipeline serve`: serve a model over HTTP, with a page to drop images on."""
