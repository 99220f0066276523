"""Turns the files of data/raw into data/images: listing, labelling, decoding, standardising and storing."""
