"""Parts that all web pages share: frame, style and script, pictures, and the formats of names and numbers."""
