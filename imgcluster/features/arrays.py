"""Features of arrays, tensors, PIL images or paths, without config, store or files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn

from imgcluster.backbones import (
    DTYPES,
    MAX_IMAGES_READ,
    Blocks,
    Pooled,
    Runtime,
    TorchRuntime,
    Watched,
    auto_batch_size,
    build_with_fallback,
    choose_backbones,
    recipe_of_timm,
    usable,
)
from imgcluster.config import STAGE, FeaturesConfig, Recipe, check_views, features_from_dict, named_recipe, recipe_of
from imgcluster.errors import ConfigError, ImageError
from imgcluster.images import (
    Batch,
    Pixels,
    images_at,
    is_held,
    open_all_again,
    read_batches,
    read_image,
    readers_for,
    to_rgb,
    walk_images,
)
from imgcluster.types import Source
from imgcluster.utils import track

Layer = str | int
Images = Any  # what `extract` takes; no type says it


def extract(
    images: Images,
    backbone: str | nn.Module = "vgg16",
    layers: Layer | Sequence[Layer] | None = None,
    *,
    pooling: str | None = "auto",
    weights: str | os.PathLike[str] = "imagenet",
    preprocess: str | Sequence[Any] = "backbone",
    views: str = "center",
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    on_error: Literal["raise", "nan"] = "raise",
    output: Literal["numpy", "torch"] = "numpy",
    show: bool = False,
) -> Any:
    """Extract features of images, one row each, in order.

    Args:
        images: Paths, PIL images, arrays (height, width[, 3 or 4]) and tensors (3, height, width), in a list, mixed as
            you like; or a folder; one image; an array (n, height, width[, channels]) or a tensor (n, channels, height,
            width). Colours are RGB or RGBA. Integers are uint8 or uint16; floats range from 0 to 1.
        backbone: A name from `imgcluster models`, or your own module. It is not changed, runs on its own device, and
            needs `preprocess`, unless it is one of timm's.
        layers: One layer, or None for the default: the result is a matrix. A list: the result is {layer: matrix}.
        pooling: As `features.pooling`; None returns feature maps and tokens unpooled.
        on_error: What an image that cannot be read does: "raise" an error, or become a row of "nan".
        output: NumPy arrays, or torch tensors on the CPU.

    The other arguments are keys of the config's section `features`. There is no fallback to another backbone.
    `precision="auto"` depends on the network and the hardware alone: an image has the same features in any batch.

    Returns:
        (n, dim) float32, or {layer: (n, dim)} for a list of layers.

    Raises:
        ConfigError: An argument is invalid.
        WeightsError: The weights do not fit. WeightsUnavailable: They cannot be downloaded.
        ImageError: An image cannot be used; the message has its number.
    """
    items = list_pictures(images)
    asked = [layers] if isinstance(layers, str | int) else list(layers or ())
    _check_choices(
        layers=(layers != [], "an empty list; name one layer at least"),
        backbone=(
            isinstance(backbone, str | nn.Module),
            "one name, or a module of your own; several are joined by a config",
        ),
        on_error=(on_error in ("raise", "nan"), "allowed: raise, nan"),
        output=(output in ("numpy", "torch"), "allowed: numpy, torch"),
    )
    keys = {"preprocess": preprocess, "views": views, "device": device, "precision": precision}
    config = features_from_dict(
        {
            **keys,
            "layer": asked or None,
            "batch_size": batch_size,
            "fallback": None,
            "pooling": pooling or "auto",
            "weights": weights,
            **({} if isinstance(backbone, nn.Module) else {"backbone": backbone}),
        }
    )
    if isinstance(backbone, nn.Module):
        own, recipe = _own_runtime(backbone, asked, pooling, config)
        runtime: Runtime = own
        most = config.batch_size
        size = auto_batch_size(str(own.torch_device), recipe, own.precision) if most == "auto" else most
    else:
        choice = replace(choose_backbones(config, progress=show)[0], pooling=pooling)
        recipe = choice.recipe
        runtime, size = build_with_fallback(choice, config, partial(_looked_at, items, recipe))
    blocks = run_over(items, runtime, recipe, size, on_error=on_error, show=show)
    found = blocks if output == "numpy" else [torch.from_numpy(block) for block in blocks]
    return found[0] if layers is None or isinstance(layers, str | int) else dict(zip(asked, found, strict=True))


def _check_choices(**choices: tuple[bool, str]) -> None:
    for name, (fits, words) in choices.items():
        if not fits:
            raise ConfigError(f"{name}: {words}")


def list_pictures(images: Images) -> list[Any]:
    """Return the pictures in what a caller gave, as a list. Raises ImageError where there are none."""
    items = _listed(images)
    if not items:
        raise ImageError("there are no images")
    return items


def _listed(images: Images) -> list[Any]:
    if isinstance(images, str | os.PathLike):
        if is_held(os.fspath(images)):
            return [image.path for image in images_at(os.fspath(images))]
        path = Path(images)
        return [image.path for image in walk_images(path)] if path.is_dir() else [path]
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, np.ndarray) and images.dtype.kind in "biuf":
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (1, 3, 4))
        return [images] if single else list(images)
    if isinstance(images, torch.Tensor):
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[0] in (1, 3, 4))
        return [images] if single else list(images)
    if isinstance(images, Iterable):
        return list(images)
    raise ImageError(f"{type(images).__name__} is not images; give a list, a folder, an array or a tensor")


def _looked_at(items: Sequence[Any], recipe: Recipe) -> Iterator[np.ndarray]:
    return usable(partial(_picture_of, item, recipe) for item in opened(items[:MAX_IMAGES_READ]))


def _own_runtime(
    model: nn.Module, layers: list[Layer], pooling: str | None, config: FeaturesConfig
) -> tuple[TorchRuntime, Recipe]:
    """Let a user's own module run where it is, in its own number format."""
    if not layers:
        raise ConfigError("layers: your own module has no default layer; name one, or a list of them")
    if config.precision != "auto" or config.device != "auto" or config.weights != "imagenet":
        raise ConfigError("your own module runs where it is, as it is: device, precision and weights are for a name")
    recipe = _own_recipe(model, config)
    values = next(model.parameters(), torch.zeros(1))
    precision = next((name for name, dtype in DTYPES.items() if dtype == values.dtype), None)
    if precision is None:
        raise ConfigError(f"backbone: a module of {values.dtype} cannot be run; make it .float()")
    network = Pooled(Watched(model, layers), layers, pooling)
    return TorchRuntime(network, recipe, values.device, precision, moved=False), recipe


def _own_recipe(model: nn.Module, config: FeaturesConfig) -> Recipe:
    theirs, preprocess = recipe_of_timm(model), config.preprocess
    needs_theirs = preprocess in ("backbone", "squash", "letterbox") or {"normalize": "backbone"} in preprocess
    if theirs is None and needs_theirs:
        raise ConfigError(
            f"preprocess: say how pixels become the input of {type(model).__name__}, such as "
            '[{"resize": 256}, {"center_crop": 224}, {"normalize": "imagenet"}]'
        )
    make = named_recipe if isinstance(preprocess, str) else recipe_of
    recipe = replace(make(preprocess, theirs or STAGE), views=config.views)  # type: ignore[arg-type]
    try:
        check_views(recipe)
    except ValueError as error:
        raise ConfigError(f"views: {error}") from None
    return recipe


def opened(items: Sequence[Any]) -> list[Any]:
    """Return pictures with the places of those that are texts or paths, an archive of several of them asked once."""
    named = [os.fspath(item) for item in items if isinstance(item, str | os.PathLike)]
    places = iter(open_all_again(named))
    return [next(places) if isinstance(item, str | os.PathLike) else item for item in items]


def run_over(
    items: Sequence[Any],
    runtime: Runtime,
    recipe: Recipe,
    batch_size: int,
    *,
    on_error: str = "raise",
    show: bool = False,
) -> list[np.ndarray]:
    """Return a block for each layer, (len(items), …) float32; `extract` says what the items may be."""
    items = opened(items)
    numbered = list(enumerate(items))
    blocks: list[np.ndarray] = []
    in_flight: deque[tuple[Batch[ImageError | None], Callable[[], Blocks]]] = deque()
    done = 0
    far = [item for item in items if isinstance(item, Source)]
    readers = readers_for(far)

    def finish() -> int:
        batch, result = in_flight.popleft()
        failed = [error is not None for error in batch.slots]
        rows = slice(done, done + len(failed))
        found = [block[: len(failed)] for block in result()]
        if not blocks:
            blocks.extend(np.empty((len(items), *block.shape[1:]), np.float32) for block in found)
        for block, part in zip(blocks, found, strict=True):
            block[rows] = part
            block[rows][failed] = np.nan
        return len(failed)

    with track("features", len(items), "images", show=show) as advance:
        fill = partial(_fill, runtime, recipe)
        for batch in read_batches(numbered, fill, recipe, batch_size, runtime, readers=readers):
            if on_error == "raise" and (error := next(filter(None, batch.slots), None)) is not None:
                raise error
            in_flight.append((batch, runtime.start(batch.pixels)))
            if len(in_flight) >= runtime.depth:
                advance(count := finish())
                done += count
        while in_flight:
            advance(count := finish())
            done += count
    return blocks


def _fill(runtime: Runtime, recipe: Recipe, pixels: Pixels, numbered: tuple[int, Any]) -> ImageError | None:
    number, item = numbered
    try:
        runtime.prepare(_picture_of(item, recipe), recipe, pixels)
    except ImageError as error:
        name = f" ({str(item)!r})" if isinstance(item, Path | Source) else ""
        return ImageError(f"image {number}{name}: {error}")
    return None


def _picture_of(item: Any, recipe: Recipe) -> np.ndarray:
    return read_image(item, recipe.least, recipe.reading) if isinstance(item, Path | Source) else to_rgb(item)
