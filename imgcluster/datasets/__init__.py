"""Sample images with known labels, to try the tool on and to test it with."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
