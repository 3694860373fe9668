"""From a list of images to their features: what the store has is taken, the rest is read, computed and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from imgcluster.backbones import Choice, build_extractor, choose_backbone
from imgcluster.batches import Batch, read_batches
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError, ImageError
from imgcluster.feature_files import features_from_file
from imgcluster.layer_stores import LayerStores
from imgcluster.progress import Advance, track
from imgcluster.reading import RULES
from imgcluster.runtimes.hardware import describe, find_device, find_precision
from imgcluster.runtimes.torch_runtime import TorchRuntime, auto_batch_size
from imgcluster.store import ImageKey, image_key
from imgcluster.tables import Failure, Features, ImageFile, Origin
from imgcluster.transforms import join_blocks


def extract_features(
    images: Iterable[ImageFile],
    config: FeaturesConfig,
    *,
    on_error: Literal["record", "stop"] = "record",
    missing: Literal["stop", "skip"] = "stop",
    show: bool = True,
) -> Features:
    """Return the features of every readable image, in the order given; the others are its failures.

    What is computed is kept in `config.store` batch by batch, and never computed again. With `on_error="stop"` the
    first image that cannot be read raises ImageError. Raises ConfigError, WeightsError, StoreError.
    With `config.file` they are taken from there instead; an image it lacks is a failure with `missing="skip"`, and
    else raises ConfigError.
    """
    if config.file is not None:
        return features_from_file(list(images), Path(config.file), missing)
    device = find_device(config.device)
    choice = choose_backbone(config, progress=show)
    precision = find_precision(config.precision, device, choice.backbone)
    _check_weights(config, choice)
    numerics = {"precision": precision, "runtime": "torch", "reading": RULES}
    batch_size = auto_batch_size(device, choice.recipe.crop) if config.batch_size == "auto" else config.batch_size
    with LayerStores(Path(config.store), [{**shaped_by, **numerics} for shaped_by in choice.shaped_by()]) as store:
        work = _Work(list(images), store, on_error)
        if work.todo:
            # Built only now: with everything in the store, the network is not needed.
            runtime = TorchRuntime(build_extractor(choice), choice.recipe, device, precision)
            work.do(runtime, choice, batch_size, show)
        return work.result(
            lambda blocks: join_blocks(blocks, config.block_l2, config.block_weights),
            _origin(choice, describe(device), precision, store, work),
        )


class _Work:
    """What has become of each image so far: its key in the store, or its failure, or neither yet."""

    def __init__(self, images: list[ImageFile], store: LayerStores, on_error: str) -> None:
        self._images = images
        self._store = store
        self._on_error = on_error
        self._keys: dict[ImageFile, ImageKey] = {}
        self._failures: dict[ImageFile, Failure] = {}
        self.computed = 0
        for image in images:
            if (key := _stamp(image.path)) is not None and store.find(key):
                self._keys[image] = key
        self.todo = [image for image in images if image not in self._keys]

    @property
    def reused(self) -> int:
        """How many vectors were in the store already."""
        return len(self._keys) - self.computed

    def do(self, runtime: TorchRuntime, choice: Choice, batch_size: int, show: bool) -> None:
        with track("features", len(self.todo), "images", show=show) as advance:
            for batch in read_batches(self.todo, choice.recipe, batch_size, self._store, runtime.buffer):
                self._finish(batch, runtime, advance)

    def _finish(self, batch: Batch, runtime: Callable[[np.ndarray], list[np.ndarray]], advance: Advance) -> None:
        fresh = [slot.key is not None and not slot.known for slot in batch.slots]
        rows = runtime(batch.pixels) if any(fresh) else []
        blocks_of: dict[ImageFile, list[np.ndarray]] = {}
        for row, slot in enumerate(batch.slots):
            blocks = [block[row] for block in rows] if fresh[row] else []
            if slot.reason is not None:
                self._fail(slot.image, slot.reason)
            elif not all(np.isfinite(block).all() for block in blocks):
                self._fail(slot.image, "its features are not finite (NaN or infinity)")
            elif slot.key is not None:  # without blocks: the bytes of an image that was moved or renamed
                blocks_of[slot.image] = blocks or [block[0] for block in self._store.vectors([slot.key])]
        self._keep({slot.image: slot.key for slot in batch.slots if slot.key is not None}, blocks_of)
        self.computed += sum(slot.image in blocks_of for row, slot in enumerate(batch.slots) if fresh[row])
        advance(len(batch.slots))

    def _keep(self, keys: dict[ImageFile, ImageKey], blocks_of: dict[ImageFile, list[np.ndarray]]) -> None:
        if blocks_of:
            blocks = [np.stack(rows) for rows in zip(*blocks_of.values(), strict=True)]
            self._store.append([keys[image] for image in blocks_of], blocks)
        self._keys.update({image: keys[image] for image in blocks_of})

    def _fail(self, image: ImageFile, reason: str) -> None:
        if self._on_error == "stop":
            raise ImageError(f"{str(image.path)!r}: {reason} (images.on_error is stop)")
        self._failures[image] = Failure(image, reason)

    def result(self, join: Callable[[list[np.ndarray]], np.ndarray], origin: Origin) -> Features:
        """Gather the vectors of all images that have one, the layers' blocks joined."""
        readable = [image for image in self._images if image in self._keys]
        vectors = join(self._store.vectors([self._keys[image] for image in readable]))
        failures = [self._failures[image] for image in self._images if image in self._failures]
        return Features(readable, vectors, failures, origin)


def _check_weights(config: FeaturesConfig, choice: Choice) -> None:
    weights = config.block_weights
    if weights is not None and len(weights) != len(choice.layers) and choice.fallback is None:
        raise ConfigError(f"features.block_weights: {len(weights)} factors for {len(choice.layers)} layers")


def _stamp(path: Path) -> ImageKey | None:
    try:
        return image_key(path, path.stat())
    except (OSError, ValueError):
        return None  # reading it will tell why


def _origin(choice: Choice, device: str, precision: str, store: LayerStores, work: _Work) -> Origin:
    return Origin(
        backbone=choice.backbone.name,
        layer="+".join(map(str, choice.layers)),
        pooling=choice.pooling,
        weights=choice.weights.source,
        weights_file=None if choice.weights.path is None else str(choice.weights.path),
        weights_sha256=choice.weights.sha256,
        licence=choice.backbone.licence,
        fallback=choice.fallback,
        device=device,
        precision=precision,
        runtime="torch",
        fingerprint="+".join(store.fingerprints),
        stores=[str(folder) for folder in store.folders],
        computed=work.computed,
        reused=work.reused,
    )
