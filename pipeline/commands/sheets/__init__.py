"""Contact sheets: pages with small pictures of images that lie anywhere, and the files that commands write."""
