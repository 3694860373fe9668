"""Explanations: Grad-CAM heat maps, activations and filters of a network or of a run's clusters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
