"""`pipeline forget`: find and delete everything that contains an image or was made from it."""
