"""Images: list and locate them, decode bytes to RGB uint8, and prepare network input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
