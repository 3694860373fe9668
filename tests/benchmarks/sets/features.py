"""Features of the labelled sets: `python -m tests.benchmarks.sets.features SETS OUT [NAME ...]` writes NAME.npz.

Arrays: `lite0`, `lite2`, `hog` as `views: whole` gives them, (n, dim) float32; `labels`, (n,) int64;
`names` of the classes; `paths` below the set's folder; `looks`, (n, 5): see `look`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from imgcluster import extract_features
from imgcluster.config import FeaturesConfig
from imgcluster.images import walk_images
from imgcluster.types import ImageFile

ARRAYS = {
    "lite0": ("efficientnet_lite0", "whole"),
    "lite2": ("efficientnet_lite2", "whole"),
    "hog": ("hog", "whole"),
}  # backbone, views


def write_features(sets: Sequence[Path], out: Path) -> None:
    """Extract the features of sets, each in a folder with a folder for each class: by each network all, one by one."""
    images = {folder.name: walk_images(folder) for folder in sets}
    together = [image for some in images.values() for image in some]
    ends = np.cumsum([len(some) for some in images.values()])[:-1]
    vectors = {name: np.split(_features(together, *wanted), ends) for name, wanted in ARRAYS.items()}
    for place, folder in enumerate(sets):
        paths = [str(image.path.relative_to(folder)) for image in images[folder.name]]
        names, labels = np.unique([Path(path).parts[0] for path in paths], return_inverse=True)
        arrays = {name: parts[place] for name, parts in vectors.items()}
        looks = np.array([look(folder / path) for path in paths], np.float32)
        np.savez(
            out / f"{folder.name}.npz", **arrays, labels=labels.astype(np.int64), names=names, paths=paths, looks=looks
        )


def look(path: Path) -> tuple[float, ...]:
    """Return width, height, the share of pixels that can be seen through, of the commonest colour, and saturation."""
    with Image.open(path) as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("RGBA").resize((64, 64), Image.Resampling.NEAREST))
    packed = pixels[..., :3].astype(np.int64) // 8 @ np.array([1024, 32, 1])
    clear = float((pixels[..., 3] < 128).mean())
    commonest = float(np.unique(packed, return_counts=True)[1].max()) / packed.size
    return width, height, clear, commonest, float(np.ptp(pixels[..., :3].astype(float), axis=2).mean() / 255)


def _features(images: Sequence[ImageFile], backbone: str, views: str) -> np.ndarray:
    with TemporaryDirectory() as store:
        config = FeaturesConfig.model_validate({"backbone": backbone, "views": views, "store": store})
        return extract_features(images, config, on_error="stop", show=False).vectors


if __name__ == "__main__":
    source, target, *wanted = sys.argv[1:]
    write_features([Path(source) / name for name in wanted], Path(target))
