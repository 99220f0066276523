"""`pipeline serve`: a model that answers over HTTP, with a page to drop images on."""
