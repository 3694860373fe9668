"""Single explanations for programs and notebooks: functions that return arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imgcluster.backbones import LOGITS, Choice, choose_backbones, find_devices
from imgcluster.config import features_from_dict
from imgcluster.errors import ClusteringError
from imgcluster.explain.activations import LayerNetwork, grid_of_channels
from imgcluster.explain.filters import STEPS, filters_of_layer
from imgcluster.explain.gradcam import GradCam, positive_part
from imgcluster.explain.run import ExplainedRun
from imgcluster.explain.targets import class_index
from imgcluster.images import open_again, read_image, to_rgb
from imgcluster.types import Source

Picture = Any  # a path, a PIL image, an array (height, width[, 3 or 4]) or a tensor (3, height, width)


def grad_cam(
    picture: Picture,
    label: int | str | None = None,
    backbone: str = "vgg16",
    *,
    weights: str | os.PathLike[str] = "imagenet",
    preprocess: str | Sequence[Any] = "backbone",
    device: str = "auto",
) -> np.ndarray:
    """Return where a picture shows a class, (height, width) float32 from 0 to 1, at the size of the picture.

    label: a class by its index or its ImageNet name; None: the most likely one. Parts of the picture that the network
    does not see are 0.
    Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks", section 3) of the class's score
    before the softmax, at the last spatial layer of the network.
    Raises ConfigError: no such class, no classifier; WeightsError, WeightsUnavailable; ImageError.
    """
    network = GradCam(*_chosen(backbone, LOGITS, weights=weights, preprocess=preprocess, device=device))
    image = _image(picture)
    passed = network.forward([image])
    scores = passed.outputs[0]
    wanted = int(scores.argmax()) if label is None else class_index(label, scores.shape[1])
    return positive_part(network.heat_maps(passed, scores[:, wanted], [image])[0])


def cluster_map(
    run: str | Path | ExplainedRun,
    picture: Picture,
    *,
    cluster: int | None = None,
    against: int | Literal["others", "runner_up"] = "others",
) -> np.ndarray:
    """Return why a picture is in its cluster, (height, width) float32 from 0 to 1, at the picture's size.

    run: a run folder, or one opened with `ExplainedRun`, which is quicker for many. picture: the id of one of the
    run's images, as text, or any other picture, a pathlib.Path for one in a file. cluster: another than the image's
    own, or the nearest. against: the cluster to tell it from: the mean of all others; the nearest other one,
    "runner_up"; or a number. Grad-CAM of `explain.targets.margins`.
    Raises as `ExplainedRun`; ImageError; ClusteringError where there is no such cluster.
    """
    opened = run if isinstance(run, ExplainedRun) else ExplainedRun(Path(run))
    known = opened.image(picture) if isinstance(picture, str) else None
    image = _image(picture if known is None else known.path)
    passed = opened.forward([image])
    nearest = opened.nearest(passed.points)[0]
    if cluster is None:
        cluster = nearest[0] if known is None or known.cluster not in nearest else known.cluster
    others = [number for number in nearest if number != cluster]
    other = (others[0] if others else None) if against == "runner_up" else against
    wanted = None if other == "others" else other
    for number in (cluster, wanted):
        if number is not None and number not in nearest:
            raise ClusteringError(f"there is no cluster {number}; there are {', '.join(map(str, sorted(nearest)))}")
    return positive_part(opened.heat_maps(passed, [image], [cluster], [None if wanted is None else int(wanted)])[0])


def activation_grid(
    picture: Picture,
    layer: str | int,
    backbone: str = "vgg16",
    *,
    weights: str | os.PathLike[str] = "imagenet",
    preprocess: str | Sequence[Any] = "backbone",
    device: str = "auto",
) -> np.ndarray:
    """Return the channels of a layer for a picture as a grid, 16 in a row: (H, W) uint8.

    Each channel has mean 128 and standard deviation 64, clipped; a constant one is grey.
    Raises ConfigError: no such layer, or one without a grid; WeightsError, WeightsUnavailable; ImageError.
    """
    choice, where = _chosen(backbone, layer, weights=weights, preprocess=preprocess, device=device)
    return grid_of_channels(LayerNetwork.build(choice, where).activations(_image(picture))[0])


def filter_images(
    layer: str | int,
    filters: Sequence[int] | None = None,
    backbone: str = "vgg16",
    *,
    weights: str | os.PathLike[str] = "imagenet",
    preprocess: str | Sequence[Any] = "backbone",
    side: int | None = None,
    steps: int = STEPS,
    seed: int = 0,
    device: str = "auto",
    show: bool = False,
) -> np.ndarray:
    """Return pictures that maximize filters of a layer, (n, side, side, 3) RGB uint8; the same for the same seed.

    filters: their numbers; None: the first 16. side: in pixels; None: 128, or the network's own where it takes no
    other. For an activation, such as relu5_3, the filters in front of it are taken: where it is shut, it passes no
    gradient on. `explain.filters` describes the method. Raises ConfigError: no such layer, filter or size;
    WeightsError, WeightsUnavailable.
    """
    choice, where = _chosen(backbone, layer, weights=weights, preprocess=preprocess, device=device)
    return filters_of_layer(choice, layer, where, filters, side=side, steps=steps, seed=seed, show=show)


def _chosen(backbone: str, layer: str | int, *, device: str, **keys: Any) -> tuple[Choice, Any]:
    import torch

    config = features_from_dict({"backbone": backbone, "layer": layer, "device": device, "fallback": None, **keys})
    choice = replace(choose_backbones(config, progress=False)[0], pooling="auto")
    return choice, torch.device(find_devices(config.device)[0])


def _image(picture: Picture) -> np.ndarray:
    if isinstance(picture, Source):
        return read_image(picture)
    if isinstance(picture, str | os.PathLike):
        return read_image(open_again(os.fspath(picture)))
    return to_rgb(picture)
