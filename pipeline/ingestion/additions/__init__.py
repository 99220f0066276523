"""What is new in data/raw: decoded, and kept in a journal until it is published, here and where others find it."""
