"""State dicts: locate, download, check, load."""
