"""What every page for people is made of: its frame, style and script, pictures, and how it writes names and figures."""
