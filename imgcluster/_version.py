"""The version of imgcluster. Any module may import it."""

__version__ = "0.1.0"
