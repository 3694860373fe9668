"""The config: keys of a YAML file, their validation, and tables of backbones and methods."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
