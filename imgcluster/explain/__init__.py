"""Heat maps, activations and filters: why a network or a cluster answers as it does."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
