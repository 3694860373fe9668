"""Ids in tables, and the files they refer to."""
