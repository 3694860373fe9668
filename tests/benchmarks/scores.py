"""How well the clusters agree with the truth: deep features against raw pixels, by the same K-Means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from imgcluster import ImageFile, cluster_features, extract_features, list_images
from imgcluster.config.loader import ClustersConfig, FeaturesConfig, ImagesConfig
from imgcluster.datasets.registry import write_sample
from tests.benchmarks.inputs import STAGE
from tests.benchmarks.rows import Row

METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ARI": adjusted_rand_score,
    "NMI": normalized_mutual_info_score,
}
LITE0 = {"backbone": "efficientnet_lite0"}
LITE2 = {"backbone": "efficientnet_lite2"}
JOINED = {"backbone": ("efficientnet_lite0", "efficientnet_lite2")}
RANDOM_VGG16 = {"backbone": "vgg16", "weights": "random", "preprocess": "stage"}


@dataclass(frozen=True)
class Task:
    """Images with a truth: what their raw pixels are, the features tried, and the aim of each metric."""

    name: str
    file: str
    raw_name: str
    raw: Callable[[Sequence[ImageFile]], np.ndarray]
    tried: Mapping[str, Mapping[str, Any]]
    aims: Mapping[str, str] = field(default_factory=dict)


def _reduced(images: Sequence[ImageFile]) -> np.ndarray:
    pictures = (np.asarray(cv2.imread(str(image.path))) for image in images)
    small = [cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).ravel() for picture in pictures]
    return np.stack(small).astype(np.float32)


DIGITS = Task(
    "digits",
    "{id}.png",
    "raw 8x8",
    lambda _: np.asarray(load_digits().data),
    {"lite0": LITE0, "lite2": LITE2, "lite0 and lite2": JOINED},
    aims={"ARI": "0.298, 0.667"},
)
FRAMES = Task(
    "stage",
    "{id}.jpg",
    "raw 32x32",
    _reduced,
    {
        "lite0 fp32": {**LITE0, "precision": "fp32"},
        "lite0 bf16": {**LITE0, "precision": "bf16"},
        "lite2": LITE2,
        "lite0 and lite2": JOINED,
        "random vgg16, stage recipe": RANDOM_VGG16,
    },
)


def scores(quick: bool) -> Iterator[Row]:
    """Scores of the digits and of the stage frames, against raw pixels; `quick` changes nothing."""
    with TemporaryDirectory() as folder:
        write_sample("digits", Path(folder))
        yield from _scores(DIGITS, Path(folder))
    yield from _scores(FRAMES, STAGE)


def _scores(task: Task, folder: Path) -> Iterator[Row]:
    listed = ImagesConfig(folder=str(folder / "test"), ids=str(folder / "sample_submission.csv"), file=task.file)
    images, _ = list_images(listed)
    truth = _truth(folder / "truth.csv", images)
    n_clusters = len(set(truth))
    by_pixels = KMeans(n_clusters, n_init=10, random_state=42).fit_predict(task.raw(images))
    for name, keys in task.tried.items():
        vectors = _vectors(images, keys)
        for method, (metric, score) in product(("kmeans", "auto"), METRICS.items()):
            config = ClustersConfig(method=method, n_clusters=n_clusters)
            labels = cluster_features(vectors, config, show=False).labels
            ours, against = score(truth, labels), score(truth, by_pixels)
            figure = f"{task.name} {metric}, {name}, {method}, against {task.raw_name}"
            aim = task.aims.get(metric, "")
            yield Row("scores", figure, f"{ours:.3f}", f"{against:.3f}", f"{ours / against:.2f}", aim)


def _truth(path: Path, images: Sequence[ImageFile]) -> np.ndarray:
    label_of = pd.read_csv(path, dtype=str).set_index("ImageID")["label"]
    return label_of.loc[[image.id for image in images]].to_numpy()


def _vectors(images: Sequence[ImageFile], keys: Mapping[str, Any]) -> np.ndarray:
    with TemporaryDirectory() as store:
        config = FeaturesConfig.model_validate({**keys, "store": store})
        return extract_features(images, config, on_error="stop", show=False).vectors
