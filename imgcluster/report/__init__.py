"""The HTML report of a run: it opens in a browser, without a server and without the internet."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
