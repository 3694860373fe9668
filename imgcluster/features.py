"""From a list of images to their features: what the store has is taken, the rest is read, computed and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from imgcluster.backbones import Choice, build_extractor, choose_backbones
from imgcluster.batches import Batch, read_batches
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError, ImageError
from imgcluster.feature_files import features_from_file
from imgcluster.layer_stores import LayerStores
from imgcluster.preprocess import prepare
from imgcluster.progress import Advance, track
from imgcluster.reading import RULES, decode_image, read_bytes
from imgcluster.recipes import Recipe
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
    images = list(images)
    if config.file is not None:
        return features_from_file(images, Path(config.file), missing)
    choices = choose_backbones(config, progress=show)
    _check_weights(config, choices)
    parts: list[_Part] = []
    for choice in choices:  # one after the other: two networks at once would want the memory of both
        readable = parts[-1].images if parts else images
        parts.append(_extracted(readable, choice, config, on_error, show))
    return _joined(images, parts, config)


@dataclass(frozen=True)
class _Part:
    """What one backbone gave: a block of (len(images), dim) for each of its layers."""

    images: list[ImageFile]
    blocks: list[np.ndarray]
    failures: dict[ImageFile, Failure]
    origin: Origin


def _extracted(images: list[ImageFile], choice: Choice, config: FeaturesConfig, on_error: str, show: bool) -> _Part:
    device = find_device(config.device)
    precision = find_precision(config.precision, device, choice.backbone)
    numerics = {"precision": precision, "runtime": "torch", "reading": RULES}
    with LayerStores(Path(config.store), [{**shaped_by, **numerics} for shaped_by in choice.shaped_by()]) as store:
        work = _Work(images, store, on_error)
        if work.todo:
            # Built only now: with everything in the store, the network is not needed.
            runtime = TorchRuntime(build_extractor(choice), choice.recipe, device, precision)
            auto = config.batch_size == "auto"
            batch_size = auto_batch_size(device, choice.recipe) if auto else int(config.batch_size)
            work.do(runtime, choice.recipe, batch_size, show)
        readable = work.readable
        blocks = store.vectors([work.keys[image] for image in readable])
        return _Part(readable, blocks, work.failures, _origin(choice, describe(device), precision, store, work))


def _joined(images: list[ImageFile], parts: list[_Part], config: FeaturesConfig) -> Features:
    """Put the backbones' blocks side by side, of the images that each of them could make features of."""
    readable = parts[-1].images
    blocks: list[np.ndarray] = []
    for part in parts:
        rows = {image: row for row, image in enumerate(part.images)}
        kept = part.images == readable or [rows[image] for image in readable]
        blocks += part.blocks if kept is True else [block[kept] for block in part.blocks]
    failed = {image: failure for part in parts for image, failure in part.failures.items()}
    failures = [failed[image] for image in images if image in failed]
    vectors = join_blocks(blocks, config.block_l2, config.block_weights)
    return Features(readable, vectors, failures, [part.origin for part in parts])


@dataclass(frozen=True)
class _Slot:
    """What became of one image: pixels in the batch, bytes the store knows already, or a reason why neither."""

    image: ImageFile
    key: ImageKey | None = None
    known: bool = False
    reason: str | None = None


def _fill(recipe: Recipe, store: LayerStores, pixels: np.ndarray, image: ImageFile) -> _Slot:
    try:
        data, status = read_bytes(image.path)
        key = image_key(image.path, status, data)
        if store.find(key):
            return _Slot(image, key, known=True)
        prepare(decode_image(data), recipe, pixels)
    except ImageError as error:
        return _Slot(image, reason=str(error))
    except MemoryError:
        return _Slot(image, reason="does not fit into memory")
    return _Slot(image, key)


class _Work:
    """What has become of each image so far: its key in the store, or its failure, or neither yet."""

    def __init__(self, images: list[ImageFile], store: LayerStores, on_error: str) -> None:
        self._images = images
        self._store = store
        self._on_error = on_error
        self.keys: dict[ImageFile, ImageKey] = {}
        self.failures: dict[ImageFile, Failure] = {}
        self.computed = 0
        for image in images:
            if (key := _stamp(image.path)) is not None and store.find(key):
                self.keys[image] = key
        self.todo = [image for image in images if image not in self.keys]

    @property
    def reused(self) -> int:
        """How many vectors were in the store already."""
        return len(self.keys) - self.computed

    @property
    def readable(self) -> list[ImageFile]:
        """The images that have vectors in the store, in their order."""
        return [image for image in self._images if image in self.keys]

    def do(self, runtime: TorchRuntime, recipe: Recipe, batch_size: int, show: bool) -> None:
        fill = partial(_fill, recipe, self._store)
        with track("features", len(self.todo), "images", show=show) as advance:
            for batch in read_batches(self.todo, fill, recipe, batch_size, runtime.buffer):
                self._finish(batch, runtime, advance)

    def _finish(self, batch: Batch[_Slot], runtime: Callable[[np.ndarray], list[np.ndarray]], advance: Advance) -> None:
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
        self.keys.update({image: keys[image] for image in blocks_of})

    def _fail(self, image: ImageFile, reason: str) -> None:
        if self._on_error == "stop":
            raise ImageError(f"{str(image.path)!r}: {reason} (images.on_error is stop)")
        self.failures[image] = Failure(image, reason)


def _check_weights(config: FeaturesConfig, choices: list[Choice]) -> None:
    weights, layers = config.block_weights, sum(len(choice.layers) for choice in choices)
    as_asked = len(choices) == len(config.backbones) and not any(choice.fallback for choice in choices)
    if weights is not None and len(weights) != layers and as_asked:
        raise ConfigError(f"features.block_weights: {len(weights)} factors for {layers} layers")


def _stamp(path: Path) -> ImageKey | None:
    try:
        return image_key(path, path.stat())
    except (OSError, ValueError):
        return None  # reading it will tell why


def _origin(choice: Choice, device: str, precision: str, store: LayerStores, work: _Work) -> Origin:
    return Origin(
        backbone=choice.backbone.name,
        layer="+".join(map(str, choice.layers)),
        dim=store.dim,
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
