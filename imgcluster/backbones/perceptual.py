"""Perceptual distance between images, as a torch loss and as a number."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones.extractor import FeatureExtractor
from imgcluster.backbones.select import find_backbone
from imgcluster.errors import ConfigError, ImageError, WeightsUnavailable
from imgcluster.images import check_no_video, open_again, read_image, walk_images
from imgcluster.types import ImagePath

logger = logging.getLogger(__name__)

# The last layer of each stage but the deepest ones. Those of VGG16: Johnson, Alahi and Fei-Fei, Perceptual Losses for
# Real-Time Style Transfer and Super-Resolution, 2016, section 4; those of AlexNet: Zhang et al., The Unreasonable
# Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.
LAYERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("vgg16", "vgg16_bn"), ("relu1_2", "relu2_2", "relu3_3", "relu4_3")),
    **dict.fromkeys(("vgg19", "vgg19_bn"), ("relu1_2", "relu2_2", "relu3_4", "relu4_4")),
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "efficientnet_lite0": ("_blocks.2.add", "_blocks.4.add", "_blocks.7.add", "_blocks.10.add"),
    **dict.fromkeys(
        ("efficientnet_lite1", "efficientnet_lite2"),
        ("_blocks.3.add", "_blocks.6.add", "_blocks.10.add", "_blocks.14.add"),
    ),
}
STAND_IN = "efficientnet_lite0"
LEAST = 32  # pixels: smaller pictures have nothing left at the deeper layers

Layers = Mapping[str, float] | Sequence[str] | None


class PerceptualLoss(nn.Module):
    """Torch loss: the mean perceptual distance between the pairs of two batches, (n, 3, h, w) float RGB from 0 to 1.

    >>> loss = PerceptualLoss("vgg16", {"relu1_2": 1, "relu3_3": 0.5}, distance="l1")
    >>> loss(output, target).backward()

    Args:
        backbone: A name from `imgcluster models`.
        layers: {layer: weight}, or a list of layers with weight 1; None: those in LAYERS.
        distance: Between a layer's activations. "l2": mean squared difference; "l1": mean absolute difference; "gram":
            squared Frobenius norm of the difference of Gram matrices, which compares textures regardless of position
            (Gatys, Ecker and Bethge, Image Style Transfer Using Convolutional Neural Networks, CVPR 2016; scaled as by
            Johnson et al., 2016).
        weights: "imagenet", "random" or a path.
        reduction: "mean" over the pairs, or "none": (n,).

    Gradients reach both batches but not the network's weights; the network stays in eval mode. Under autocast the
    network computes in the lower precision, and distances are summed in float32.

    Raises:
        ConfigError: No such backbone, layer, distance or reduction; batches of different shapes; images too small.
        WeightsError: As for `FeatureExtractor`. WeightsUnavailable: The same.
    """

    def __init__(
        self,
        backbone: str = "vgg16",
        layers: Layers = None,
        distance: str = "l2",
        *,
        weights: str | os.PathLike[str] = "imagenet",
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise ConfigError(f"distance: there is no {distance!r}; allowed: {', '.join(DISTANCES)}")
        if reduction not in {"mean", "none"}:
            raise ConfigError(f"reduction: there is no {reduction!r}; allowed: mean, none")
        self.layers = _weighed(backbone, layers)
        self._distance = DISTANCES[distance]
        self._reduction = reduction
        self._features = FeatureExtractor(backbone, list(self.layers), weights=weights, gradients=True)

    def forward(self, pixels: Tensor, target: Tensor) -> Tensor:
        """Return the distance between two batches."""
        if pixels.shape != target.shape:
            raise ConfigError(f"two batches of one shape are compared; found {_shape(pixels)} and {_shape(target)}")
        if min(pixels.shape[-2:]) < LEAST:
            raise ConfigError(f"pictures of {LEAST} x {LEAST} at least are compared; found {_shape(pixels)}")
        here, there = self._features(pixels), self._features(target)
        of_pairs = torch.stack(
            [
                weight * self._distance(here[layer].float(), there[layer].float())
                for layer, weight in self.layers.items()
            ]
        ).sum(dim=0)
        return of_pairs if self._reduction == "none" else of_pairs.mean()


def _weighed(backbone: str, layers: Layers) -> dict[str, float]:
    find_backbone(backbone)
    if layers is None:
        if backbone not in LAYERS:
            raise ConfigError(f"layers: {backbone} has no usual ones here; `imgcluster layers {backbone}` lists all")
        layers = LAYERS[backbone]
    if not layers:
        raise ConfigError("layers: none; name one at least")
    if isinstance(layers, Mapping):
        return {name: float(weight) for name, weight in layers.items()}
    return dict.fromkeys([layers] if isinstance(layers, str) else layers, 1.0)


def _gram_distance(here: Tensor, there: Tensor) -> Tensor:
    return (_gram(here) - _gram(there)).square().flatten(1).sum(dim=1)


def _gram(maps: Tensor) -> Tensor:
    """Return the products of all pairs of channels, averaged over places: (n, c, h, w) -> (n, c, c), over c."""
    if maps.ndim != 4:
        raise ConfigError(f"distance: gram is for maps, (n, channels, h, w); found {_shape(maps)}; name another layer")
    rows = maps.flatten(2)
    return rows @ rows.transpose(1, 2) / (rows.shape[1] * rows.shape[2])


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": lambda here, there: (here - there).square().flatten(1).mean(dim=1),
    "l1": lambda here, there: (here - there).abs().flatten(1).mean(dim=1),
    "gram": _gram_distance,
}


def _shape(values: Tensor) -> str:
    return " x ".join(map(str, values.shape))


# Files.


def image_distances(
    first: str | Path,
    second: str | Path,
    *,
    backbone: str = "vgg16",
    layers: Layers = None,
    distance: str = "l2",
    weights: str | os.PathLike[str] = "imagenet",
) -> dict[str, float]:
    """Return {name: distance} of two images, or of the images with equal names in two folders.

    An image may be a frame of a video, `a.mp4#t=1.500`, or a page of a TIFF, `a.tif#2`.
    The second image of a pair is resized to the first. If the weights of VGG16 are not available, its fallback is used,
    with a warning.

    Raises:
        ConfigError: A file and a folder, no common name, or as for `PerceptualLoss`.
        ImageError: An image cannot be read, or is a video.
    """
    return distances_and_scale(first, second, (backbone, layers, distance, weights), scale=False)[0]


def distances_and_scale(
    first: str | Path, second: str | Path, by: tuple[str, Layers, str, str | os.PathLike[str]], *, scale: bool = True
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what `image_distances` returns, and distances of the first image to changed copies of itself.

    A distance has no unit: these say what is near and what is far with this network and this picture.

    Args:
        by: backbone, layers, distance and weights, as of `image_distances`.
        scale: Whether the second dict is wanted; else it is empty.
    """
    pairs = _pairs(Path(first), Path(second))
    loss = _loss_or_stand_in(*by)
    with torch.inference_mode():
        found = {name: float(loss(*_read_pair(*paths))) for name, paths in pairs.items()}
        own = _read(next(iter(pairs.values()))[0]) if scale else None
        return found, {} if own is None else {name: float(loss(own, change(own))) for name, change in CHANGES.items()}


def _as_jpeg(image: Tensor) -> Tensor:
    from PIL import Image

    file = BytesIO()
    pixels = (255 * image[0]).round().to(torch.uint8).permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=JPEG_QUALITY)
    return torch.tensor(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255


JPEG_QUALITY = 75
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    f"saved as JPEG, quality {JPEG_QUALITY}": _as_jpeg,
    "upside down": lambda image: image.flip(-2),
}


def _loss_or_stand_in(backbone: str, layers: Layers, distance: str, weights: str | os.PathLike[str]) -> PerceptualLoss:
    try:
        return PerceptualLoss(backbone, layers, distance, weights=weights)
    except WeightsUnavailable as error:
        if layers is not None or backbone == STAND_IN:
            raise
        logger.warning(
            "FALLBACK: %s weights are not available; using %s instead, distances will differ\n  why: %s",
            backbone,
            STAND_IN,
            error,
        )
        return PerceptualLoss(STAND_IN, None, distance)


def _pairs(first: Path, second: Path) -> dict[str, tuple[ImagePath, ImagePath]]:
    if first.is_dir() != second.is_dir():
        raise ConfigError(f"two images or two folders are compared; found {str(first)!r} and {str(second)!r}")
    if not first.is_dir():
        pair = open_again(str(first)), open_again(str(second))
        for path in pair:
            check_no_video(path)
        return {first.name: pair}
    here, there = ({image.id: image.path for image in walk_images(folder)} for folder in (first, second))
    common = {name: (path, there[name]) for name, path in here.items() if name in there}
    if not common:
        raise ConfigError(f"{str(first)!r} and {str(second)!r} have no image of the same name")
    return common


def _read_pair(first: ImagePath, second: ImagePath) -> tuple[Tensor, Tensor]:
    here, there = _read(first), _read(second)
    if here.shape != there.shape:
        there = nn.functional.interpolate(there, here.shape[-2:], mode="bilinear", antialias=True).clamp(0, 1)
    return here, there


def _read(path: ImagePath) -> Tensor:
    try:
        pixels = read_image(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255
