"""What a run leaves to do: quality, duplicates, label errors, leaks, search, subsets, updates."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
