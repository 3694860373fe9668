"""Names for clusters: the ImageNet classes that a run's own network is sure of over their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgcluster.backbones import PREDICTIONS, class_names, classify, find_backbone, find_weights
from imgcluster.config import FORMULAS, FeaturesConfig, features_from_dict
from imgcluster.errors import ImgclusterError, StoreError
from imgcluster.features import extract_features
from imgcluster.runs import FinishedRun, listed_images

CLASSES = 1000  # of ImageNet
IMAGES_PER_CLUSTER = 9
# A cluster gets a name where the mean probability of a class over its images is at least this, and the class is the
# first one of two thirds of them. Of 133 clusters of 11 labelled sets, most without a fitting class, 8 were named: 4 by
# their class, 2 by "comic book" for cartoons, 2 wrongly.
SURE_SHARE, AGREEING = 0.5, 2 / 3
MAX_CLUSTERS = 200  # that get a name, the largest first
SECOND_SHARE = 0.5  # of the first class's probability, from which the second class is named too

FeaturesOf = Callable[[Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class Guess:
    """The likeliest class, or two, and their probability, from 0 to 1."""

    name: str
    share: float


@dataclass(frozen=True)
class Guesses:
    """Guesses by number of cluster; None: the network is not sure. Without any, the reason.

    wants_network: the network would have to run for them. words: the digest of the phrases that they were taken from;
    empty of those of ImageNet.
    """

    by_cluster: dict[int, Guess | None]
    reason: str = ""
    wants_network: bool = False
    words: str = ""


def guess_names(
    images: Mapping[int, Sequence[int]], run: FinishedRun, features_of: FeaturesOf, *, run_network: bool
) -> Guesses:
    """Name clusters by the ImageNet class that has the highest mean probability over images of each, where it is sure.

    The classifier of the run's network is applied to the run's features. Where it does not take them (another layer,
    preprocessing or pooling than it was trained on), the network reads the images anew, with `run_network`, and its
    answers are kept in the run's store; else there are no names.

    images: rows of clusters.csv by number of cluster, the largest cluster first. features_of: rows -> (n, dim)
    float32; may raise StoreError.
    """
    origin = next((each for each in run.record["features"] if _is_network(each)), None)
    if origin is None or (run.config.features.weights != "imagenet" and not origin["fallback"]):
        return Guesses({}, "no names: the features are not those of a network trained on ImageNet")
    asked, rows = asked_rows(images)
    try:
        found = _from_features(rows, run, origin, features_of)
        if found is None and not run_network:
            return Guesses({}, "no names: the network would have to read images again for them", wants_network=True)
        found = _from_images(rows, run, str(origin["backbone"])) if found is None else found
    except ImgclusterError as error:
        return Guesses({}, f"no names: {error}")
    if found is None:
        return Guesses({}, f"no names: {origin['backbone']} has no classifier for ImageNet's {CLASSES:,} classes")
    known = known_rows(asked, found)
    names = class_names() if known else []
    return Guesses({number: _named(each, names) for number, each in known.items()})


def asked_rows(images: Mapping[int, Sequence[int]]) -> tuple[dict[int, list[int]], list[int]]:
    """Return the rows by which each cluster is named, of so many clusters at most; and all these rows, each once."""
    asked = {number: list(rows[:IMAGES_PER_CLUSTER]) for number, rows in [*images.items()][:MAX_CLUSTERS]}
    return asked, list(dict.fromkeys(row for each in asked.values() for row in each))


def known_rows(asked: Mapping[int, Sequence[int]], found: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Return what was found of the rows of each cluster, (m, n); no cluster of which nothing was."""
    known = {number: [found[row] for row in rows if row in found] for number, rows in asked.items()}
    return {number: np.stack(each) for number, each in known.items() if each}


def _is_network(origin: Mapping[str, Any]) -> bool:
    return origin["runtime"] != "file" and origin["backbone"] not in FORMULAS


def _from_features(
    rows: Sequence[int], run: FinishedRun, origin: Mapping[str, Any], features_of: FeaturesOf
) -> dict[int, np.ndarray] | None:
    """Return class probabilities by row, from the run's features; None where the classifier does not take these."""
    config = run.config.features
    as_trained = origin["fallback"] is not None or config.preprocess == "backbone"
    is_one_layer = len(origin["stores"]) == 1 and not config.block_l2 and config.block_weights is None
    if not (as_trained and is_one_layer and origin["pooling"] == "auto"):
        return None
    backbone = find_backbone(origin["backbone"])
    weights = find_weights(backbone, "imagenet", progress=False)
    if weights.sha256 != origin["weights_sha256"]:
        return None
    try:
        features = features_of(rows)
    except StoreError:
        return None
    origins = run.record["features"]
    begin = sum(each["dim"] for each in origins[: origins.index(origin)])
    found = classify(backbone, weights, origin["layer"], features[:, begin : begin + origin["dim"]])
    return None if found is None or found.shape[1] != CLASSES else dict(zip(rows, found, strict=True))


def _from_images(rows: Sequence[int], run: FinishedRun, backbone: str) -> dict[int, np.ndarray] | None:
    """Return class probabilities by row, of the images as the network was trained to see them."""
    storage = run.places.storage
    images = listed_images(run.places.rows([run.rows[row] for row in rows]), storage)
    asked = _predictions(run.config.features, backbone)
    found = extract_features(images, asked, missing="skip", storage=storage, show=False)
    if found.vectors.shape[1] != CLASSES:
        return None
    row_of = dict(zip(images, rows, strict=True))
    return {row_of[image]: vector for image, vector in zip(found.images, found.vectors, strict=True)}


def _predictions(config: FeaturesConfig, backbone: str) -> FeaturesConfig:
    """Return the config of class probabilities of a run's network."""
    kept = {"device": config.device, "store": config.store}
    keys = {**kept, "backbone": backbone, "layer": PREDICTIONS, "preprocess": "backbone", "fallback": None}
    return features_from_dict(keys).read_as(config.reading)


def _named(probabilities: np.ndarray, names: Sequence[str]) -> Guess | None:
    """Return the class, or two, of images with some probabilities, (n, classes); None where it is not sure."""
    first = sure_class(probabilities)
    if first is None:
        return None
    means = probabilities.mean(axis=0, dtype=np.float64)
    second = int(np.argsort(-means, kind="stable")[1])
    name, share = names[first], float(means[first])
    if means[second] >= SECOND_SHARE * share:
        return Guess(f"{name}, {names[second]}", share + float(means[second]))
    return Guess(name, share)


def sure_class(probabilities: np.ndarray) -> int | None:
    """Return the class that is sure over images with some probabilities, (m, classes); None where none is."""
    means = probabilities.mean(axis=0, dtype=np.float64)
    first = int(means.argmax())
    agreeing = (probabilities.argmax(axis=1) == first).mean()
    return first if means[first] >= SURE_SHARE and agreeing >= AGREEING else None
