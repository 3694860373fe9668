"""Our extraction, with the building of the network apart from the work on the images."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np

from imgcluster import ImageFile, extract_features
from imgcluster.backbones import build_extractor, choose_backbones
from imgcluster.config import FeaturesConfig


class OurLoop:
    """Callable: images -> their vectors, each call into a store of its own.

    The network is built once. The first call moves and converts it, in place, so that later ones find that done too.
    """

    def __init__(self, config: FeaturesConfig) -> None:
        self._config = config
        self.network = build_extractor(choose_backbones(config, progress=False)[0])

    def __call__(self, images: Sequence[ImageFile]) -> np.ndarray:
        with TemporaryDirectory() as store, patch("imgcluster.features.build_extractor", lambda _: self.network):
            config = self._config.model_copy(update={"store": store})
            return extract_features(images, config, on_error="stop", show=False).vectors
