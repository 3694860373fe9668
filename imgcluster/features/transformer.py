"""`ImageFeatures`: deep features as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from imgcluster.backbones import Runtime, build_with_fallback, choose_backbones, plan_for
from imgcluster.config import FeaturesConfig, features_from_dict
from imgcluster.errors import ConfigError
from imgcluster.features.arrays import list_pictures, opened, run_over
from imgcluster.features.extraction import extract_features
from imgcluster.features.store.keys import with_stamps
from imgcluster.features.transforms import join_blocks
from imgcluster.types import ImageFile, Source


class ImageFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer: images to features, as in `make_pipeline(ImageFeatures(), KMeans(5))`.

    Images are whatever `imgcluster.extract` takes: paths, PIL images, arrays, tensors. The parameters are keys of the
    config's section `features`; there is no fallback to another backbone. If `store` is a folder, features of paths are
    kept there and reused. `precision="auto"` depends on the network and the hardware, never on the images.

    Fitting only determines the length of a vector, `n_features_out_`. An image that cannot be used raises ImageError,
    because it could have no row.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        *,
        layer: str | int | Sequence[str | int] | None = None,
        pooling: str = "auto",
        weights: str | os.PathLike[str] = "imagenet",
        preprocess: str | Sequence[Any] = "backbone",
        views: str = "center",
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | Literal["auto"] = "auto",
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        self.backbone = backbone
        self.layer = layer
        self.pooling = pooling
        self.weights = weights
        self.preprocess = preprocess
        self.views = views
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.store = store

    def fit(self, X: Any, y: Any = None) -> ImageFeatures:  # noqa: N803 (scikit-learn's name)
        """Build the network, once. Raises ConfigError, WeightsError, WeightsUnavailable."""
        config = self._config()
        if len(config.backbones) > 1:
            raise ConfigError("backbone: one name; several are joined by a FeatureUnion, or by a config")
        (choice,) = choose_backbones(config, progress=False)
        self._recipe = choice.recipe
        self._runtime, self._batch_size = build_with_fallback(choice, config)
        black = self._runtime.buffer(
            (self._batch_size, choice.recipe.n_views, choice.recipe.side, choice.recipe.side, 3)
        )
        self.n_features_out_ = sum(block.shape[1] for block in self._runtime(black))
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803 (scikit-learn's name)
        """Return the features of pictures: (len(X), n_features_out_) float32. Raises ImageError."""
        check_is_fitted(self)
        items, config = list_pictures(_column(X)), self._config()
        if self.store is not None and all(isinstance(item, str | os.PathLike | Source) for item in items):
            paths = with_stamps(opened(items))
            images = [ImageFile(str(path), path) for path in paths]
            (choice,) = choose_backbones(config, progress=False)
            # The default, as in `fit`: by a comparison on images, vectors of paths and of arrays could differ.
            config = config.model_copy(update={"precision": plan_for(choice, config).precision})
            return extract_features(images, config, on_error="stop", show=False).vectors
        blocks = run_over(items, self._network, self._recipe, self._batch_size)
        return join_blocks(blocks, l2=False, weights=None)

    @property
    def _network(self) -> Runtime:
        """The network; made again where it was not pickled along."""
        if not hasattr(self, "_runtime"):
            self.fit(None)
        return self._runtime

    @property
    def _n_features_out(self) -> int:
        return int(self.n_features_out_)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_runtime", None)  # half a gigabyte that can be made again
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_out_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def _config(self) -> FeaturesConfig:
        keys = {key: value for key, value in self.get_params(deep=False).items() if key != "store"}
        store = {} if self.store is None else {"store": self.store}
        return features_from_dict({**keys, "fallback": None, **store})


def _column(images: Any) -> Any:
    """Return the only column of a table, which a ColumnTransformer hands over."""
    is_table = hasattr(images, "iloc") and images.ndim == 2 and images.shape[1] == 1
    return images.iloc[:, 0] if is_table else images
