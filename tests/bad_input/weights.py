"""Bad weights."""
