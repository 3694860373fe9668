"""Ids in tables, and the files they name."""
