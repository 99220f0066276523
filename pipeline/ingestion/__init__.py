"""From the files of data/raw to stored images: listing, labels, decoding, standardising, and data/images as a whole."""
