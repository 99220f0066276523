"""Features of images from a frozen backbone: computed once per image and cached."""
