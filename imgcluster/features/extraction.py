"""Extract the features of a list of images: stored ones are reused, the others are computed and stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from imgcluster.backbones import (
    Choice,
    Plan,
    PrecisionCheck,
    Runtime,
    build_runtime,
    choose_backbones,
    compare_precisions,
    find_calibration,
    find_devices,
    plan_for,
    some_of,
    with_fallback,
)
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError, DamagedShard, ImageError, StoreError
from imgcluster.features.auto import keep_choice, settled_features
from imgcluster.features.engines.dask.cluster import Cluster
from imgcluster.features.engines.dask.extraction import Planned, compare_on, compute_on_cluster, plan_on
from imgcluster.features.engines.local import Work
from imgcluster.features.engines.multiprocess import compute_on
from imgcluster.features.files import features_from_file
from imgcluster.features.precision import Decided, decide_precision
from imgcluster.features.result import Features, Origin
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.index import Stamps
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.reader import StoredVectors
from imgcluster.features.transforms import join_blocks
from imgcluster.images import Marks
from imgcluster.types import Failure, ImageFile
from imgcluster.utils import DEFAULT_STORAGE, Place, Storage, announce, track

ONE_COLOUR = "of one colour as read"


def extract_features(
    images: Iterable[ImageFile],
    config: FeaturesConfig,
    *,
    on_error: Literal["record", "stop"] = "record",
    missing: Literal["stop", "skip"] = "stop",
    gather: bool | Callable[[int], bool] = True,
    cluster: Cluster | None = None,
    storage: Storage = DEFAULT_STORAGE,
    show: bool = True,
    like: Collection[str] = (),
) -> Features:
    """Extract the features of images, in order. Unreadable images become failures of the result.

    Computed features are stored in `config.store`, batch by batch, and never computed again.

    Args:
        on_error: "stop" raises ImageError for the first image that cannot be read.
        missing: "skip" turns an image without a vector in `config.file` into a failure instead of an error.
        gather: False, or a function that returns False for the size of all vectors in bytes, leaves the vectors in the
            store: `stored` of the result locates them, and `vectors` is (n, 0). More than 2 GiB of gathered vectors are
            a memory map, whose file is deleted with them.
        cluster: A Dask cluster whose workers compute the features.
        storage: The access to a store behind a URL.
        like: Fingerprints of origins; `precision: auto` takes the precision of one of them where it can.

    Raises:
        ConfigError: The config cannot be used, or `config.file` lacks an image.
        WeightsError: The weights are damaged or do not fit.
        StoreError: The store cannot be used.
    """
    images = images if isinstance(images, Sequence) else list(images)
    if config.file is not None:
        return features_from_file(images, Path(config.file), missing, config.file_columns)
    root = storage.place(config.store)
    config = settled_features(config, root, show=show)
    choices = choose_backbones(config, progress=show)
    _check_weights(config, choices)
    keep_choice(config, root)
    wanted = gather if callable(gather) else lambda _: bool(gather)
    request = _Request(config, on_error, wanted, cluster, show, root, like)
    parts: list[_Part] = []
    for choice in choices:  # one after the other: two networks at once would want the memory of both
        parts.append(_extracted(parts[-1].images if parts else images, choice, request))
    return _joined(images, parts, config)


def runtime_for(
    choice: Choice, images: Sequence[ImageFile], config: FeaturesConfig, *, show: bool = True
) -> tuple[Runtime, int]:
    """Return the runtime that computes the features of images, and its batch size.

    Raises ConfigError as `extract_features`.
    """

    def build(config: FeaturesConfig) -> tuple[Runtime, int]:
        request = _Request(config, "record", lambda _: True, None, show, DEFAULT_STORAGE.place(config.store))
        plan = _planned(choice, images, request).plan
        return build_runtime(choice, plan, some_of(images, choice.recipe)), plan.batch_size

    return with_fallback(choice, config, build)


def check_readable(features: Features) -> None:
    """Raise ImageError, with the first failure, where no image has features."""
    if features.images:
        return
    if not features.failures:
        raise ImageError("there are no images")
    first = features.failures[0]
    count = len(features.failures)
    what = "the only image cannot be read" if count == 1 else f"none of the {count:,} images can be read; the first"
    raise ImageError(f"{what}: {first.image.path}: {first.reason}")


@dataclass(frozen=True)
class _Request:
    """What is asked for, whatever the backbone."""

    config: FeaturesConfig
    on_error: str
    gather: Callable[[int], bool]
    cluster: Cluster | None
    show: bool
    root: Place
    like: Collection[str] = ()


@dataclass(frozen=True)
class _Part:
    """What one backbone gave: a block of (len(images), dim) for each of its layers, or where these are stored."""

    images: Sequence[ImageFile]
    blocks: list[np.ndarray]
    stored: list[StoredVectors]
    failures: dict[ImageFile, Failure]
    origin: Origin
    one_colour: set[ImageFile]
    content: str
    scientific: bool
    stamps: Stamps


def _extracted(images: Sequence[ImageFile], choice: Choice, request: _Request) -> _Part:
    def extract(config: FeaturesConfig) -> _Part:
        ours = replace(request, config=config)
        return _extracted_as_planned(images, choice, _planned(choice, images, ours), ours)

    return with_fallback(choice, request.config, extract)


def _planned(choice: Choice, images: Sequence[ImageFile], request: _Request) -> Decided:
    """Plan for whoever does the work: the workers of a cluster elsewhere may have other devices than this machine."""
    cluster, config, root = request.cluster, request.config, request.root

    def compare() -> PrecisionCheck | None:
        if cluster is not None and not cluster.is_here:
            return compare_on(cluster, choice, config, images, root)
        return compare_precisions(choice, images, request.show)

    if cluster is not None and not cluster.is_here:
        plan = plan_on(cluster, choice, config, images, root)
    else:
        plan = plan_for(choice, config)
    plan = _calibrated(plan, choice, images, config, request.show)
    return decide_precision(plan, choice, images, root, like=request.like, compare=compare)


def _calibrated(plan: Plan, choice: Choice, images: Sequence[ImageFile], config: FeaturesConfig, show: bool) -> Plan:
    if plan.precision != "int8":
        return plan
    return replace(plan, calibration=find_calibration(images, choice.recipe, _scratch(config), show))


def _extracted_as_planned(images: Sequence[ImageFile], choice: Choice, decided: Decided, request: _Request) -> _Part:
    with LayerStores(request.root, decided.plan.shapes(choice)) as store:
        while True:
            try:
                part = _extracted_into(store, images, choice, decided.plan, request)
                return replace(part, origin=replace(part.origin, precision_check=decided.check))
            except DamagedShard:  # set aside by now, so that its images are new ones: each time there is a shard less
                continue


def _extracted_into(
    store: LayerStores, images: Sequence[ImageFile], choice: Choice, plan: Plan, request: _Request
) -> _Part:
    work = Work(images, store, request.on_error)
    # Built only where there is work to do: with everything in the store, the network is not needed.
    device = _compute(work, store, choice, plan, request) if len(work.todo) else plan.device
    readable = work.readable
    if lost := work.lost:
        raise StoreError(f"{lost:,} images have neither features nor a reason why not; run the same command again")
    blocks, stored = [np.empty((len(readable), 0), np.float32)], []
    stamps = work.readable_stamps
    with work.stopwatch.timed("gathering"):
        if request.gather(4 * len(readable) * store.dim):
            blocks = store.vectors(stamps)
        else:
            stored = store.stored(stamps)
    origin = _origin(choice, device, plan, store, work)
    failures = {failure.image: failure for failure in work.failures.values()}
    marks = store.marks_of(stamps)
    scientific = bool((marks & Marks.SCIENTIFIC).any())
    one_colour = {readable[row] for row in np.flatnonzero(marks & Marks.ONE_COLOUR).tolist()}
    return _Part(readable, blocks, stored, failures, origin, one_colour, store.content(stamps), scientific, stamps)


def _compute(work: Work, store: LayerStores, choice: Choice, plan: Plan, request: _Request) -> str:
    store.measure(choice.recipe.reading)
    name = choice.backbone.name
    announce(f"preparing {name}: this takes longer the first time", show=request.show)
    label = f"features of {name}" if len(request.config.backbones) > 1 else "features"
    progress = partial(track, label, len(work.todo), "images", show=request.show)
    if request.cluster is not None:
        with progress() as advance:
            return compute_on_cluster(request.cluster, work, store, Planned(choice, plan, request.config), advance)
    if len(devices := find_devices(request.config.device)) > 1:
        with progress() as advance:
            return compute_on(devices, work, store, choice, plan, advance=advance)
    with work.stopwatch.timed("building the network"):
        runtime = build_runtime(choice, plan, some_of(work.images_to_do, choice.recipe))
    with progress() as advance:
        work.do(runtime, choice.recipe, plan.batch_size, advance)
    return runtime.device


def _joined(images: Sequence[ImageFile], parts: list[_Part], config: FeaturesConfig) -> Features:
    """Put the backbones' blocks side by side, of the images that each of them could make features of."""
    readable = parts[-1].images
    blocks: list[np.ndarray] = []
    for part in parts:
        if part.images is readable or part.images == readable:
            blocks += part.blocks
        else:
            rows = {image: row for row, image in enumerate(part.images)}
            kept = [rows[image] for image in readable]
            blocks += [block[kept] for block in part.blocks]
    failed = {image: failure for part in parts for image, failure in part.failures.items()}
    failures = [failed[image] for image in images if image in failed] if failed else []
    one_colour = set[ImageFile]().union(*(part.one_colour for part in parts))
    return Features(
        readable,
        join_blocks(blocks, config.block_l2, config.block_weights, _scratch(config)),
        failures,
        [part.origin for part in parts],
        _notes(readable, one_colour),
        [each for part in parts for each in part.stored],
        {image: ONE_COLOUR for image in readable if image in one_colour} if one_colour else {},
        parts[-1].content,
        any(part.scientific for part in parts),
        config.auto,
        parts[-1].stamps,
    )


def _scratch(config: FeaturesConfig) -> Path:
    """Return the folder of this machine for the temporary files of a store."""
    return files_of(DEFAULT_STORAGE.place(config.store)).scratch


def _notes(images: Sequence[ImageFile], one_colour: set[ImageFile]) -> list[str]:
    if not one_colour:
        return []
    verb = "is" if len(one_colour) == 1 else "are"
    return [f"{len(one_colour):,} of {len(images):,} images {verb} {ONE_COLOUR}: nothing to tell them apart by"]


def _check_weights(config: FeaturesConfig, choices: list[Choice]) -> None:
    weights, layers = config.block_weights, sum(len(choice.layers) for choice in choices)
    as_asked = len(choices) == len(config.backbones) and not any(choice.fallback for choice in choices)
    if weights is not None and len(weights) != layers and as_asked:
        raise ConfigError(f"features.block_weights: {len(weights)} factors for {layers} layers")


def _origin(choice: Choice, device: str, plan: Plan, store: LayerStores, work: Work) -> Origin:
    return Origin(
        backbone=choice.backbone.name,
        layer="+".join(map(str, choice.layers)),
        dim=store.dim,
        pooling=str(choice.pooling),
        weights=choice.weights.source,
        weights_file=None if choice.weights.path is None else str(choice.weights.path),
        weights_sha256=choice.weights.sha256,
        licence=choice.backbone.licence,
        fallback=choice.fallback,
        device=device,
        precision=plan.precision,
        runtime=plan.runtime,
        fingerprint="+".join(store.fingerprints),
        stores=[str(folder) for folder in store.folders],
        computed=work.computed,
        reused=work.reused,
        seconds={stage: round(spent, 3) for stage, spent in work.stopwatch.seconds.items()},
    )
