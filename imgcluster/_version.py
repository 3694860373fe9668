"""The version of imgcluster: one place, from which every module may import it."""

__version__ = "0.1.0"
