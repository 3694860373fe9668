"""Names for clusters, guessed by the network that was trained to tell ImageNet's classes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgcluster.backbones import CLASSES, PREDICTIONS, class_names
from imgcluster.config import FeaturesConfig, features_from_dict
from imgcluster.errors import ImgclusterError
from imgcluster.features import extract_features
from imgcluster.types import ImageFile
from imgcluster.utils import DEFAULT_STORAGE, Storage

ASKED = 9  # images of each cluster that are shown to the network
MOST = 200  # clusters that get a name, the largest first
SECOND = 0.5  # of the first class's probability, from which the second is named too


@dataclass(frozen=True)
class Guess:
    """The likeliest class, or two, and how likely the network takes them to be, from 0 to 1."""

    name: str
    share: float


@dataclass(frozen=True)
class Guesses:
    """A guess by the number of its cluster; where there is none, the reason why."""

    by_cluster: dict[int, Guess]
    reason: str = ""


def guess_names(
    typical: Mapping[int, Sequence[ImageFile]],
    config: FeaturesConfig,
    origins: Sequence[Mapping[str, Any]],
    storage: Storage = DEFAULT_STORAGE,
) -> Guesses:
    """Ask a run's own network, by its ImageNet head, what the most typical images of each cluster show.

    The probabilities of all classes are averaged over the images of a cluster. The network sees them as it was trained
    to, whatever the run's preprocessing is; what it says is kept in the run's store. `origins`: as in run.json.
    """
    origin = next((each for each in origins if each["runtime"] != "file"), None)
    if origin is None or (config.weights != "imagenet" and not origin["fallback"]):
        return Guesses({}, "no names: these features are not those of a network trained on ImageNet's classes")
    images = list(dict.fromkeys(image for each in list(typical.values())[:MOST] for image in each[:ASKED]))
    try:
        asking = _asking(config, origin["backbone"])
        found = extract_features(images, asking, missing="skip", storage=storage, show=False)
    except ImgclusterError as error:
        return Guesses({}, f"no names: {error}")
    if found.vectors.shape[1] != CLASSES:
        return Guesses({}, f"no names: {origin['backbone']} does not tell ImageNet's {CLASSES:,} classes apart")
    rows = {image: row for row, image in enumerate(found.images)}
    means = {
        number: found.vectors[[rows[image] for image in each[:ASKED] if image in rows]].mean(axis=0, dtype=np.float64)
        for number, each in typical.items()
        if any(image in rows for image in each[:ASKED])
    }
    return Guesses({number: _named(mean) for number, mean in means.items()})


def _asking(config: FeaturesConfig, backbone: str) -> FeaturesConfig:
    """What is asked for is the last layer of the run's own network, that sees pictures as it was trained to."""
    kept = {"device": config.device, "store": config.store}
    return features_from_dict(
        {**kept, "backbone": backbone, "layer": PREDICTIONS, "preprocess": "backbone", "fallback": None}
    )


def _named(probabilities: np.ndarray) -> Guess:
    first, second = np.argsort(-probabilities, kind="stable")[:2].tolist()
    name, share = class_names()[first], float(probabilities[first])
    if probabilities[second] >= SECOND * share:
        return Guess(f"{name}, {class_names()[second]}", share + float(probabilities[second]))
    return Guess(name, share)
