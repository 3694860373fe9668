"""Files, hashing, storage, tables, threads, system, text: imports nothing of the package but errors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
