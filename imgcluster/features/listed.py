"""The features of the images of a config, on its engine and with its hints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from imgcluster.config import BUNDLED, FORMULAS, Config
from imgcluster.errors import WeightsUnavailable
from imgcluster.features.engines.dask.cluster import Cluster, check_engine, open_cluster
from imgcluster.features.extraction import check_readable, extract_features
from imgcluster.features.result import Features
from imgcluster.features.shots import shots_of
from imgcluster.images import with_shared_range
from imgcluster.types import ImageFile
from imgcluster.utils import Storage


def extract_listed(
    images: Sequence[ImageFile],
    config: Config,
    show: bool,
    *,
    gather: bool | Callable[[int], bool] = True,
    cluster: Cluster | None = None,
) -> Features:
    """Return the features of images as a config says; ImageError where none of them can be read.

    With `images.video: {shots: true}` they are those of the frames that stand for shots, unless nothing is gathered.
    cluster: the one of `config.engine`, where it is open already.
    """
    check_engine(config)
    by_shots = config.images.video is not None and config.images.video.shots and gather is not False
    with ExitStack() as opened, _hinting_at_a_fallback(config):
        features = extract_features(
            images,
            with_shared_range(config, images).features,
            on_error=config.images.on_error,
            missing=config.images.missing,
            gather=by_shots or gather,
            cluster=cluster or opened.enter_context(open_cluster(config.dask, show=show)),
            storage=Storage(config.storage),
            show=show,
        )
    check_readable(features)
    return shots_of(features) if by_shots else features


@contextmanager
def _hinting_at_a_fallback(config: Config) -> Iterator[None]:
    """Where weights cannot be had and nothing is to be used instead, say by which key something is."""
    try:
        yield
    except WeightsUnavailable as error:
        if set(config.features.backbones) <= {*BUNDLED, *FORMULAS}:
            raise
        raise WeightsUnavailable(f"{error}; or use {BUNDLED[0]} instead: features.fallback: {BUNDLED[0]}") from error
