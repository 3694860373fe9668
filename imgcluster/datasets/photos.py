"""Sample `photos`: photographs from scikit-learn and scikit-image, each a class of thirty varied crops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from imgcluster.datasets.files import Sample
from imgcluster.errors import ConfigError
from imgcluster.images import jpeg
from imgcluster.utils import install_command

SEED = 11
COPIES = 30
LONG_SIDE = 720  # of a photograph before it is cropped: crops are then made smaller, not larger, in most cases

# Only files inside of the wheels (of scikit-image: since 0.22 at the latest), so that nothing is ever downloaded.
FROM_SKLEARN = ("china.jpg", "flower.jpg")
FROM_SKIMAGE = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
)


def sample() -> Sample:
    """Sixteen classes in shuffled order, so that an id says nothing about its class."""
    paths = _paths()
    labels = np.random.default_rng(SEED).permutation(np.repeat(np.arange(len(paths)), COPIES)).tolist()
    names = "".join(f"{label},{path.stem}\n" for label, path in enumerate(paths))
    return Sample(labels, _pictures(paths, labels), ".jpg", {"classes.csv": "label,name\n" + names})


def _paths() -> list[Path]:
    try:
        import skimage
    except ImportError as error:
        raise ConfigError(f"the sample 'photos' needs scikit-image: {install_command('samples')}") from error
    import sklearn

    learn, image = Path(sklearn.__file__).parent / "datasets" / "images", Path(skimage.__file__).parent / "data"
    return [learn / name for name in FROM_SKLEARN] + [image / name for name in FROM_SKIMAGE]


def _pictures(paths: list[Path], labels: list[int]) -> Iterator[bytes]:
    photographs = [_read(path) for path in paths]
    for number, label in enumerate(labels):
        yield _variation(photographs[label], np.random.default_rng([SEED, number]))


def _read(path: Path) -> np.ndarray:
    """The photograph in BGR. By Pillow: OpenCV prints a warning about the colour profile in one of them."""
    if not path.is_file():
        raise ConfigError(f"{path} is missing: install scikit-learn and scikit-image again, from their wheels on PyPI")
    with Image.open(path) as picture:
        photograph = cv2.cvtColor(np.asarray(picture.convert("RGB")), cv2.COLOR_RGB2BGR)
    scale = min(1.0, LONG_SIDE / max(photograph.shape))
    return np.asarray(cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _variation(photograph: np.ndarray, rng: np.random.Generator) -> bytes:
    """One of the many pictures that could have been taken of the same thing."""
    crop = _crop(photograph, rng)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.4:
        crop = cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.8))
    light = (crop.astype(np.float32) / 255) ** rng.uniform(0.75, 1.35) * rng.uniform(0.75, 1.2)
    pixels = np.clip(light * 255, 0, 255).astype(np.uint8)
    return jpeg(pixels[..., ::-1], int(rng.integers(55, 96)))


def _crop(photograph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of 50-90 % of each side, turned by a few degrees, its longer side 256-400 pixels."""
    height, width = photograph.shape[:2]
    part_width, part_height = rng.uniform(0.5, 0.9, 2) * (width, height)
    scale = rng.uniform(256, 400) / max(part_width, part_height)
    size = (round(part_width * scale), round(part_height * scale))
    middle = (
        rng.uniform(part_width, 2 * width - part_width) / 2,
        rng.uniform(part_height, 2 * height - part_height) / 2,
    )
    move = cv2.getRotationMatrix2D(middle, rng.uniform(-7, 7), scale)
    move[:, 2] += np.array(size) / 2 - middle
    return np.asarray(cv2.warpAffine(photograph, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))
