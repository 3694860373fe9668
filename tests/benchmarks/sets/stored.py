"""Features of labelled sets: of the samples, and of the sets in the folder IMGCLUSTER_SETS.

That folder has files NAME.npz with the arrays lite0, the features, and labels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from imgcluster import extract_features, list_images
from imgcluster.config.loader import FeaturesConfig, ImagesConfig
from imgcluster.datasets.registry import write_sample
from imgcluster.images import read_labels

SETS = "IMGCLUSTER_SETS"
SAMPLES = {False: ("stage", "photos", "digits"), True: ("stage", "photos")}  # by --quick


def stored_sets(quick: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield names, features, (n, 1280), and classes, (n,) int64."""
    for name in SAMPLES[quick]:
        with TemporaryDirectory() as own:
            folder = Path(own) / name
            write_sample(name, folder)
            images, _ = list_images(ImagesConfig(folder=str(folder / "test")))
            config = FeaturesConfig(backbone="efficientnet_lite0", store=f"{own}/store")
            features = extract_features(images, config, show=False)
            known = read_labels(folder / "truth.csv", "truth", label_column="label")
            words = [known[Path(id).stem] for id in features.ids]
            yield name, features.vectors, np.unique(words, return_inverse=True)[1]
    for path in sorted(Path(os.environ[SETS]).glob("*.npz")) if SETS in os.environ else []:
        with np.load(path) as file:
            yield path.stem, file["lite0"], np.unique(file["labels"], return_inverse=True)[1]
