"""Explain a finished run: choose images, make the pictures, write them into its report folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from imgcluster.backbones import CLASSES, LOGITS, Choice, auto_batch_size, class_names
from imgcluster.config import Reading
from imgcluster.errors import ClusteringError, ConfigError, ImageError
from imgcluster.explain.activations import LayerNetwork, grid_of_channels, layers_by_size
from imgcluster.explain.filters import filters_of_layer
from imgcluster.explain.gallery import Explanation, ExplanationGallery
from imgcluster.explain.gradcam import GradCam, positive_part
from imgcluster.explain.heatmap import overlay, tiled
from imgcluster.explain.run import ExplainedRun, RunImage
from imgcluster.explain.targets import class_index
from imgcluster.features import any_there
from imgcluster.images import read_image
from imgcluster.runs import with_name
from imgcluster.utils import Advance, track

MAX_BATCH = 16  # pictures: more are no quicker, and are held in their own size
TYPICAL_IMAGES = 4  # of one cluster, and as many borderline ones
MAX_GRID_WIDTH, MIN_GRID_WIDTH = 2048, 512  # pixels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    """What `explain_run` is to explain, in its words."""

    run: ExplainedRun
    images: list[RunImage]
    layers: tuple[str, ...]
    label: str | int | None
    show: bool


@dataclass(frozen=True)
class RunExplained:
    """The pictures written, in `folder`, and the networks and layers they come from."""

    folder: Path
    pictures: list[Explanation]
    networks: list[str]
    is_random: bool


def explain_run(
    run: str | Path,
    *,
    images: str | Sequence[str] = (),
    cluster: int | None = None,
    kinds: Sequence[str] = ("cluster",),
    layers: Sequence[str] = (),
    label: str | int | None = None,
    show: bool = True,
) -> RunExplained:
    """Explain images of a finished run by pictures below its `report/`, with a list of them, `report/explain.json`.

    images: ids; in one text with commas between them. cluster: instead, its four most typical images and the four most
    borderline ones; with neither, the most typical and the most borderline image of every cluster. kinds: of KINDS, in
    any number. layers: for activations and filters; without, the last one of each size, and the last of all. label: the
    class that `gradcam` looks for, by index or ImageNet name; None: the one that the network finds most likely.

    What is listed already stays, as long as the clusters are the same. An image whose file can no longer be read is
    left out with a warning. Raises as `ExplainedRun`; ConfigError: no such kind, layer or class; ImageError: no such
    image, or none that can be read; ClusteringError: no such cluster; OutputError.
    """
    folder = Path(run)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ConfigError(f"there is no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    opened = ExplainedRun(folder)
    request = _Request(opened, _selected(opened, images, cluster), tuple(layers), label, show)
    networks: list[str] = []
    with ExplanationGallery.open(folder, opened.clusters_sha256) as gallery:
        for kind in dict.fromkeys(kinds):
            networks += KINDS[kind](request, gallery)
    if not gallery.added:
        if any_there([image.path for image in request.images]):
            one, count = len(request.images) == 1, f"none of the {len(request.images):,} images can"
            raise ImageError(f"{'the image cannot' if one else count} be read any more")
        raise ImageError(opened.places.lost(len(request.images)))
    return RunExplained(gallery.report, gallery.added, list(dict.fromkeys(networks)), opened.is_random)


def _selected(run: ExplainedRun, ids: str | Sequence[str], cluster: int | None) -> list[RunImage]:
    if isinstance(ids, str):  # an id may have commas of its own
        ids = [ids] if run.has(ids) else [id.strip() for id in ids.split(",") if id.strip()]
    if ids:
        return [run.image(id) for id in dict.fromkeys(ids)]
    if cluster is not None and cluster not in run.clusters:
        there = ", ".join(with_name(each, run.names) for each in run.clusters)
        raise ClusteringError(f"there is no cluster {cluster}; there are {there}")
    wanted, count = (run.clusters, 1) if cluster is None else ([cluster], TYPICAL_IMAGES)
    chosen: dict[RunImage, None] = {}
    for number in wanted:
        inside = [image for image in run.images if image.cluster == number]
        chosen |= dict.fromkeys(sorted(inside, key=lambda image: image.distance)[:count])
        chosen |= dict.fromkeys(sorted(inside, key=lambda image: image.margin)[:count])
    return list(chosen)


def _batches(request: _Request, choice: Choice, advance: Advance) -> Iterator[tuple[list[RunImage], list[np.ndarray]]]:
    """Read the images, a few at a time, leaving out those that cannot be read any more."""
    size = min(MAX_BATCH, auto_batch_size(str(request.run.device), choice.recipe, "fp32"))
    for start in range(0, len(request.images), size):
        part = request.images[start : start + size]
        read = [(image, picture) for image in part if (picture := _read(image, choice.recipe.reading)) is not None]
        if read:
            yield [image for image, _ in read], [picture for _, picture in read]
        advance(len(part))


def _read(image: RunImage, reading: Reading) -> np.ndarray | None:
    try:
        return read_image(image.path, reading=reading)
    except ImageError as error:
        logger.warning("image %r is left out: %s: %s", image.id, image.path, error)
        return None


def _cluster_maps(request: _Request, gallery: ExplanationGallery) -> list[str]:
    """Explain why an image is in its cluster, and what separates it from the runner-up."""
    run = request.run
    if noise := [image for image in request.images if image.is_noise]:
        raise ClusteringError(f"image {noise[0].id!r} is noise: in no cluster, so that nothing pulls it into one")
    layer = "+".join(network.layer.node for network in run.networks)
    with track("cluster maps", len(request.images), "images", show=request.show) as advance:
        for images, pictures in _batches(request, run.networks[0].choice, advance):
            passed = run.forward(pictures)
            own = [int(image.cluster or 0) for image in images]
            pulls = run.heat_maps(passed, pictures, own, [None] * len(own))
            margins = run.heat_maps(passed, pictures, own, [image.runner_up for image in images])
            for image, picture, pull, margin in zip(images, pictures, pulls, margins, strict=True):
                name, cluster = f"cluster-{image.row:06d}", with_name(int(image.cluster or 0), run.names)
                title = f"what puts {image.id} in cluster {cluster}"
                gallery.add(overlay(picture, positive_part(pull)), name, **_about(image, "cluster", layer), title=title)
                if image.runner_up is None:
                    continue
                title = (
                    f"what keeps {image.id} out of cluster {with_name(image.runner_up, run.names)}, its second choice"
                )
                laid = overlay(picture, positive_part(margin))
                gallery.add(laid, f"{name}-runner-up", **_about(image, "runner_up", layer), title=title)
    return [_network_text(network) for network in run.networks]


def _grad_cams(request: _Request, gallery: ExplanationGallery) -> list[str]:
    """Show where an image has a class, by the run's first network."""
    choice = replace(request.run.choices[0], layers=(LOGITS,))
    grad_cam = GradCam(choice, request.run.device)
    with track("Grad-CAM", len(request.images), "images", show=request.show) as advance:
        for images, pictures in _batches(request, choice, advance):
            passed = grad_cam.forward(pictures)
            scores = passed.outputs[0]
            best = scores.argmax(dim=1).tolist()
            wanted = best if request.label is None else [class_index(request.label, scores.shape[1])] * len(best)
            heats = grad_cam.heat_maps(passed, scores[range(len(wanted)), wanted], pictures)
            for image, picture, heat, number in zip(images, pictures, heats, wanted, strict=True):
                name = class_names()[number] if scores.shape[1] == CLASSES else "class"
                gallery.add(
                    overlay(picture, positive_part(heat)),
                    f"gradcam-{image.row:06d}-{number}",
                    **_about(image, "gradcam", grad_cam.layer.node),
                    title=f"where {image.id} shows {name} ({number})",
                )
    return [_network_text(grad_cam)]


def _activations(request: _Request, gallery: ExplanationGallery) -> list[str]:
    """An image through layers, early to late, by the run's first network."""
    first = request.run.choices[0]
    choice = replace(first, layers=request.layers or tuple(layers_by_size(replace(first, layers=(LOGITS,)))))
    network = LayerNetwork.build(choice, request.run.device)
    with track("activations", len(request.images), "images", show=request.show) as advance:
        for images, pictures in _batches(request, choice, advance):
            for image, picture in zip(images, pictures, strict=True):
                for layer, channels in zip(choice.layers, network.activations(picture), strict=True):
                    gallery.add(
                        _sized(grid_of_channels(channels)),
                        f"activations-{image.row:06d}-{layer}",
                        **_about(image, "activations", str(layer)),
                        title=f"{image.id} through {layer}: {len(channels):,} channels",
                    )
    return [f"{choice.backbone.name} {' '.join(map(str, choice.layers))}"]


def _filters(request: _Request, gallery: ExplanationGallery) -> list[str]:
    """Show what filters of layers respond to, by the run's first network."""
    first = request.run.choices[0]
    layers = request.layers or tuple(layers_by_size(replace(first, layers=(LOGITS,)))[-1:])
    for layer in layers:
        made = filters_of_layer(first, layer, request.run.device, show=request.show)
        title = f"pictures that maximize {len(made)} filters of {layer}"
        gallery.add(Image.fromarray(tiled(made, 4)), f"filters-{layer}", kind="filters", layer=str(layer), title=title)
    return [f"{first.backbone.name} {' '.join(layers)}"]


# By kind of explanation: a function that makes its pictures and returns the networks and layers they come from.
KINDS: dict[str, Callable[[_Request, ExplanationGallery], list[str]]] = {
    "cluster": _cluster_maps,
    "gradcam": _grad_cams,
    "activations": _activations,
    "filters": _filters,
}


def _about(image: RunImage, kind: str, layer: str) -> dict[str, str | int | None]:
    return {"kind": kind, "id": image.id, "row": image.row, "cluster": image.cluster, "layer": layer}


def _network_text(network: GradCam) -> str:
    layer = network.layer
    return f"{network.choice.backbone.name} {layer.node}, a {layer.side} x {layer.side} grid"


def _sized(grid: np.ndarray) -> Image.Image:
    """Make a grid as wide as a screen shows it: small cells larger, large ones smaller."""
    picture = Image.fromarray(grid)
    if grid.shape[1] > MAX_GRID_WIDTH:
        return picture.resize(
            (MAX_GRID_WIDTH, max(1, round(grid.shape[0] * MAX_GRID_WIDTH / grid.shape[1]))), Image.Resampling.BOX
        )
    factor = max(1, MIN_GRID_WIDTH // grid.shape[1])
    return picture.resize((grid.shape[1] * factor, grid.shape[0] * factor), Image.Resampling.NEAREST)
