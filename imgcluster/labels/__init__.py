"""A few known labels: propagate, suggest, learn, predict; assign new images to clusters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
