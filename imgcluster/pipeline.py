"""The steps of a run, in their order. The only module that knows all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from imgcluster.catalog import BACKBONES
from imgcluster.clusters import cluster_features
from imgcluster.config import Config
from imgcluster.errors import ImageError
from imgcluster.features import extract_features
from imgcluster.images import list_images
from imgcluster.outputs import RunFolder, write_outputs
from imgcluster.outputs.submission import check_label_column
from imgcluster.outputs.write import output_names
from imgcluster.tables import Features, ImageFile, Run


def run(config: Config, *, force: bool = False, show: bool = True) -> Run:
    """Do all that a config asks for, from listing the images to writing the outputs.

    Another config's run in the same folder is overwritten only with `force`. Raises ImgclusterError.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "images"):
        images, template = list_images(config.images)
        if config.outputs.submission:
            check_label_column(template, config.outputs.label_column)
    with RunFolder(config, force=force).open(output_names(config)) as folder:
        with _timed(seconds, "features"):
            features = extract_features(images, config.features, on_error=config.images.on_error, show=show)
            _check_any(images, features)
        with _timed(seconds, "clusters"):
            clusters = cluster_features(features.vectors, config.clusters, show=show)
        with _timed(seconds, "outputs"):
            finished = Run(config, images, template, features, clusters, seconds)
            write_outputs(folder, finished)
    return finished


def extract(config: Config, *, show: bool = True) -> Features:
    """Do the first half of a run: put the features of all images into the store. Raises ImgclusterError."""
    images, _ = list_images(config.images)
    features = extract_features(images, config.features, on_error=config.images.on_error, show=show)
    _check_any(images, features)
    return features


def _check_any(images: list[ImageFile], features: Features) -> None:
    if features.images:
        return
    first = features.failures[0]
    raise ImageError(f"none of the {len(images):,} images can be read; the first: {first.image.path}: {first.reason}")


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def check(config: Config) -> str:
    """Look at all that a config names without doing any work; returns what a run would do. Raises ImgclusterError."""
    images, template = list_images(config.images)
    if config.outputs.submission:
        check_label_column(template, config.outputs.label_column)
    layer = config.features.layer or BACKBONES[config.features.backbone].default_layer
    return (
        f"{len(images):,} images -> {config.features.backbone} {layer} -> "
        f"{config.clusters.method}, {config.clusters.n_clusters} clusters -> {config.outputs.folder}"
    )
