"""The pipeline of a run, step by step. The only module that knows all steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from imgcluster.backbones import check_backbones, check_fit, check_int8, find_devices, find_weights, missing_weights
from imgcluster.clustering import (
    AUTO,
    SEQUENCE,
    KeptClusters,
    calibrated_shares,
    check_enough,
    check_memory,
    check_numbering,
    check_parameters,
    cluster_features,
    cluster_stored,
    fit_space,
    should_use_dask,
)
from imgcluster.config import METHODS, Config
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.evaluation import Sweep, sweep_k
from imgcluster.features import (
    Cluster,
    Features,
    check_engine,
    check_steps,
    extract_listed,
    features_from_file,
    import_parquet,
    only_shots,
    open_cluster,
    settled,
)
from imgcluster.images import Listing, list_images, list_with_notes, range_notes, with_shared_range
from imgcluster.report import check_words, discard_report, report_with_facts, run_html, write_sheets
from imgcluster.runs import (
    RunFolder,
    RunResult,
    check_known_classes,
    check_outputs,
    names_note,
    output_names,
    unnamed_note,
    write_images_table,
    write_outputs,
)
from imgcluster.types import Clusters, ImageFile
from imgcluster.utils import Storage, install_command

logger = logging.getLogger(__name__)


class Run(RunResult):
    """What a run has found; in a notebook, a table of its clusters."""

    def _repr_html_(self) -> str:
        return run_html(self)


def run(config: Config, *, force: bool = False, show: bool = True) -> Run:
    """Run a config: list the images, extract features, cluster them, write the run folder and the report.

    Args:
        force: Overwrite another config's run in the same folder.
        show: Show progress.

    Raises:
        ImgclusterError: The run cannot be completed. Unreadable images are failures of the result instead.
    """
    _check_packages(config)
    seconds: dict[str, float] = {}
    with _timed(seconds, "images"):
        listing = _listed(config)
    images, template = listing.images, listing.template
    config = with_shared_range(config, images)
    with ExitStack() as opened:
        folder = opened.enter_context(RunFolder(config, force=force).open(output_names(config)))
        cluster = opened.enter_context(open_cluster(config.dask, show=show))
        with _timed(seconds, "features"):
            config = settled(config, show=show)
            check_method(config, len(images))
            features = extract_listed(images, config, show, gather=_gather(config), cluster=cluster)
        if config.images.video is not None and config.images.video.shots:
            images = only_shots(images, features)
        with _timed(seconds, "clusters"):
            clusters = _clustered(features, config, cluster, show)
        with _timed(seconds, "outputs"):
            result = Run(
                config,
                images,
                template,
                features,
                clusters,
                seconds,
                folder.path,
                notes=[
                    *listing.notes,
                    *range_notes(config, listing.images),
                    *names_note(config, folder.path, features.ids, clusters.labels),
                    *unnamed_note(config, clusters),
                ],
                left_out=listing.left_out,
                files=listing.files,
            )
            result = replace(result, record=write_outputs(folder, result))
        with _timed(seconds, "report"):
            _show_clusters(result, show)
        folder.send()
    return result


def _gather(config: Config) -> Callable[[int], bool]:
    """Return a function of the size of all features, in bytes: whether to load them into this machine's memory."""
    return lambda size: not (_is_one_block(config) and should_use_dask(config.clusters, size, config.dask is not None))


def _is_one_block(config: Config) -> bool:
    """Tell whether vectors are used as stored, neither concatenated nor scaled."""
    features = config.features
    layers = [layer for name in features.backbones for layer in features.layers_of(name) or (None,)]
    return len(layers) == 1 and not features.block_l2 and features.block_weights is None and features.file is None


def _clustered(features: Features, config: Config, cluster: Cluster | None, show: bool) -> Clusters:
    soft, first = config.outputs.layout == "soft", config.outputs.label_offset
    starts = None if config.clusters.order is None else features.starts
    kept = KeptClusters(features.stored[0] if features.stored else features.vectors, starts)
    if not features.stored:
        found = cluster_features(features, config.clusters, soft=soft, first_label=first, show=show, kept=kept)
        calibrated = soft and config.outputs.probabilities == "calibrated"
        return replace(found, probabilities=calibrated_shares(found)) if calibrated else found
    client = None if cluster is None else cluster.client
    return cluster_stored(
        features.stored[0], features.ids, config.clusters, client, soft=soft, first_label=first, show=show, kept=kept
    )


def _show_clusters(result: Run, show: bool) -> None:
    """Write report, contact sheets and the table of images, which has scores that the report works out.

    The run is done: where they fail, that is logged, not raised.
    """
    outputs, scores = result.config.outputs, None
    try:
        if outputs.report:
            scores = report_with_facts(result, show=show).image_scores
        else:
            discard_report(result.folder)
        if outputs.contact_sheets:
            write_sheets(result, show=show)
    except ImgclusterError as error:
        logger.warning("the run is done and written, but not its report: %s", error)
    try:
        write_images_table(result, scores)
    except ImgclusterError as error:
        logger.warning("the run is done and written, but not its table of images: %s", error)


def fill_store(config: Config, *, show: bool = True) -> Features:
    """Extract the features of all images into the store; the `vectors` returned are (n, 0). Raises ImgclusterError."""
    check_engine(config)
    images, _ = list_images(config.images, Storage(config.storage))
    return extract_listed(images, config, show, gather=False)


def sweep_clusters(config: Config, ks: Sequence[int] = AUTO, *, show: bool = True) -> Sweep:
    """Try the numbers of clusters `ks` on the features of a config. Raises ImgclusterError."""
    method = config.clusters.method
    if METHODS[method].k is None and config.clusters.order != SEQUENCE:
        raise ConfigError(f"clusters.method: {method} sets the number of clusters itself")
    check_engine(config)
    images, _ = list_images(config.images, Storage(config.storage))
    check_method(config, len(images))
    features = extract_listed(images, config, show)
    points = replace(fit_space(features.vectors, config.clusters).points, starts=features.starts)
    return sweep_k(points, config.clusters, ks, show=show)


def check(config: Config) -> list[ImageFile]:
    """Check a config and every file it names, without reading images or downloading weights; returns the images.

    Raises:
        ImgclusterError: The first problem that would stop a run.
    """
    _check_packages(config)
    images = list(_listed(config).images)
    if config.features.file is not None:
        features_from_file(images, Path(config.features.file), config.images.missing, config.features.file_columns)
        return images
    if config.dask is None or config.dask.address is None:  # elsewhere, the workers have the devices
        device = find_devices(config.features.device)[0]
        check_int8(config.features.precision, config.features.runtime, device)
    chosen = settled(config, download=False).features
    missing_weights(chosen)
    for wanted in check_backbones(chosen):
        if config.features.weights != "imagenet":
            check_fit(wanted.backbone, find_weights(wanted.backbone, config.features.weights, progress=False))
    return images


def _check_packages(config: Config) -> None:
    """Raise ConfigError, before any work, if engine, outputs or K-Means of a run need a package that is missing."""
    check_engine(config)
    if config.outputs.images == "parquet":
        import_parquet()
    if config.clusters.backend == "dask":
        for module, package in (("dask", "dask"), ("dask_ml", "dask-ml")):
            if find_spec(module) is None:
                raise ConfigError(f"clusters.backend: {package} is not installed; {install_command('dask')}")


def _listed(config: Config) -> Listing:
    listing = list_with_notes(config.images, Storage(config.storage))
    check_enough(len(listing.images), config.clusters.n_clusters, kind="images")
    check_method(config, len(listing.images))
    check_outputs(listing.template, config)
    check_known_classes(listing.template, config)
    if config.outputs.names_from is not None:
        check_words(config.outputs.names_from)
    return listing


def check_method(config: Config, images: int) -> None:
    """Raise ConfigError or ClusteringError, before any work, if the method or its transform cannot be applied."""
    if config.clusters.backend == "dask" and not _is_one_block(config):
        raise ConfigError("clusters.backend: dask reads the store, of one layer of one backbone as it is")
    if config.clusters.order != SEQUENCE:
        check_parameters(config.clusters)
        check_memory(config.clusters, images)
    check_steps(config.clusters.transform, images)
    check_numbering(config.clusters.numbering, config.outputs.label_offset)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
