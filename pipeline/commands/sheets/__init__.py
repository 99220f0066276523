"""Contact sheets: HTML pages with thumbnails of images at any place, and saving of files that commands write."""
