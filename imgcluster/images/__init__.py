"""Which images there are, where they are, and their way from bytes to RGB uint8 and network input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
