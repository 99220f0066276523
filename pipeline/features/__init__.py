"""What a frozen backbone makes of images: computed once an image, and kept."""
