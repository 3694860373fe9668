"""What is explained: the score of a class, or what makes a picture belong to its cluster and not to another."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from imgcluster.errors import ClusteringError, ConfigError
from imgcluster.transforms import State

CLASSES = 1000
NAMED = 5
SMALLEST_ROOT = 1e-12  # below which a root has no derivative to speak of
Apply = Callable[[Tensor, dict[str, Tensor]], Tensor]


def class_index(asked: int | str, n_classes: int = CLASSES) -> int:
    """Return the index of a class that is asked for by index, or by its ImageNet name in any case.

    Raises ConfigError with the names near it: no such class, or a name that several classes have.
    """
    text = str(asked).strip()
    if text.isdecimal():
        if int(text) < n_classes:
            return int(text)
        raise ConfigError(f"class {text}: there are {n_classes:,}, from 0 to {n_classes - 1}")
    if n_classes != CLASSES:
        raise ConfigError(f"class {text!r}: names are those of ImageNet's {CLASSES:,}; this network has {n_classes:,}")
    return _index_of_name(text, class_names())


def class_names() -> list[str]:
    """Return the names of ImageNet's 1000 classes, by index, as torchvision has them."""
    from torchvision.models import VGG16_Weights

    return list(VGG16_Weights.IMAGENET1K_V1.meta["categories"])


def _index_of_name(text: str, names: Sequence[str]) -> int:
    plain = [_plain(name) for name in names]
    found = [index for index, name in enumerate(plain) if name == _plain(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"class {text!r} is the name of several: {', '.join(map(str, found))}; give the number")
    near = [index for index, name in enumerate(plain) if _plain(text) in name.split()]
    near += [plain.index(name) for name in difflib.get_close_matches(_plain(text), plain, NAMED, 0.6)]
    listed = ", ".join(f"{names[index]} ({index})" for index in list(dict.fromkeys(near))[:NAMED])
    raise ConfigError(f"there is no class {text!r}" + (f"; near it: {listed}" if listed else "; give a number"))


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def transformed(features: Tensor, state: State) -> Tensor:
    """Apply a run's fitted transform to features, (n, dim), as `transforms.apply_transform` does, with gradients.

    Raises ClusteringError for a step that knows of no other images than the run's.
    """
    for number, name in enumerate(state["steps"]):
        step = _STEPS.get(str(name))
        if step is None:
            raise ClusteringError(f"clusters.transform: {name} cannot be followed back to the pictures")
        prefix = f"{number}_"
        fitted = {
            key.removeprefix(prefix): torch.as_tensor(value, device=features.device)
            for key, value in state.items()
            if key.startswith(prefix)
        }
        features = step(features, fitted)
    return features


def _signed_root(values: Tensor, fitted: dict[str, Tensor]) -> Tensor:
    return values.sign() * values.abs().clamp(min=SMALLEST_ROOT).sqrt()


def _unit_length(values: Tensor, fitted: dict[str, Tensor]) -> Tensor:
    return normalize(values, eps=float(np.finfo(np.float32).tiny))


def _standardized(values: Tensor, fitted: dict[str, Tensor]) -> Tensor:
    return (values - fitted["mean"]) / fitted["scale"]


def _projected(values: Tensor, fitted: dict[str, Tensor]) -> Tensor:
    return (values - fitted["mean"]) @ fitted["components"].T


_STEPS: dict[str, Apply] = {
    "sqrt": _signed_root,
    "l2": _unit_length,
    "standardize": _standardized,
    "pca": _projected,
    "whiten": _projected,
}


def margins(points: Tensor, centroids: Tensor, own: Sequence[int], against: Sequence[int | None]) -> Tensor:
    """Return by how much nearer each point, (n, dim), is to its own centroid than to another, squared: (n,).

    against: the other cluster; None: all others, the mean of the margins. Of a cluster that is alone: against the
    point that no features at all would be, the origin.

    The target of the literature's pattern would be -||f - c||². Its derivative, 2(c - f), is what the picture lacks: it
    vanishes at the centroid, where the typical pictures are, and what is left is their noise. A margin is linear in f,
    with the derivative 2(c - c'): the direction that tells the clusters apart, the same for every picture.
    """
    return torch.stack(
        [_margin(point, centroids, mine, other) for point, mine, other in zip(points, own, against, strict=True)]
    )


def _margin(point: Tensor, centroids: Tensor, own: int, against: int | None) -> Tensor:
    inhabited = centroids.isfinite().all(dim=1)
    inhabited[own] = False
    others = centroids[inhabited] if against is None else centroids[against : against + 1]
    if not len(others):
        others = torch.zeros_like(centroids[own : own + 1])
    return ((point - others) ** 2).sum(dim=1).mean() - ((point - centroids[own]) ** 2).sum()
