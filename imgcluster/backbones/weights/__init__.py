"""State dicts: located, downloaded, checked, loaded."""
