"""Our extraction, with the building of the network apart from the work on the images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np

from imgcluster import ImageFile, extract_features
from imgcluster.backbones.runtimes.calibration import find_calibration
from imgcluster.backbones.runtimes.plan import build_runtime, plan_for
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.loader import FeaturesConfig


class OurLoop:
    """Callable: images -> their vectors, each call into a store of its own. The network is built once, before.

    images: those that int8 is calibrated on.
    """

    def __init__(self, config: FeaturesConfig, images: Sequence[ImageFile] = ()) -> None:
        self._config = config
        choice = choose_backbones(config, progress=False)[0]
        self.plan = plan_for(choice, config)
        if self.plan.precision == "int8":
            found = find_calibration(images, choice.recipe, Path(config.store))
            self.plan = replace(self.plan, calibration=found)
        self.runtime = build_runtime(choice, self.plan)
        self.recipe = choice.recipe

    def __call__(self, images: Sequence[ImageFile]) -> np.ndarray:
        with TemporaryDirectory() as store, ExitStack() as patches:
            patches.enter_context(patch("imgcluster.features.extraction.build_runtime", lambda *_: self.runtime))
            patches.enter_context(
                patch("imgcluster.features.extraction.find_calibration", lambda *_: self.plan.calibration)
            )
            config = self._config.model_copy(update={"store": store})
            return extract_features(images, config, on_error="stop", show=False).vectors
