"""A finished run explained: which images, which pictures of them, and the files in its report folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from imgcluster.backbones import CLASSES, LOGITS, Choice, auto_batch_size, class_names
from imgcluster.errors import ClusteringError, ConfigError, ImageError
from imgcluster.explain.activations import (
    FILTERS,
    STEPS,
    Inside,
    ascent_choice,
    ascent_side,
    grid_of_channels,
    layers_by_size,
)
from imgcluster.explain.gallery import Album, Explanation
from imgcluster.explain.gradcam import Eye, shown
from imgcluster.explain.heatmap import overlay, tiled
from imgcluster.explain.run import ExplainedRun, RunImage, is_noise
from imgcluster.explain.targets import class_index
from imgcluster.features import any_there
from imgcluster.images import read_image
from imgcluster.runs import with_name
from imgcluster.utils import Advance, track

AT_ONCE = 16  # pictures at most: more are no quicker, and are held in their own size
OF_A_CLUSTER = 4  # typical images, and as many borderline ones
WIDEST, SMALLEST = 2048, 512  # pixels a grid is wide

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """What is to be explained, and with what."""

    run: ExplainedRun
    images: list[RunImage]
    layers: tuple[str, ...]
    label: str | int | None
    show: bool


@dataclass(frozen=True)
class RunExplained:
    """What was explained: the pictures written, in `folder`, and of which networks and layers their maps are."""

    folder: Path
    pictures: list[Explanation]
    networks: list[str]
    is_random: bool


def explain_run(  # noqa: PLR0913 (one call says all)
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
    asked = _Asked(opened, _selected(opened, images, cluster), tuple(layers), label, show)
    networks: list[str] = []
    with Album.open(folder) as album:
        for kind in dict.fromkeys(kinds):
            networks += KINDS[kind](asked, album)
    if not album.added:
        if any_there([image.path for image in asked.images]):
            raise ImageError(f"none of the {len(asked.images):,} images can be read any more")
        raise ImageError(opened.places.lost(len(asked.images)))
    return RunExplained(album.report, album.added, list(dict.fromkeys(networks)), opened.is_random)


def _selected(run: ExplainedRun, ids: str | Sequence[str], cluster: int | None) -> list[RunImage]:
    if isinstance(ids, str):  # an id may have commas of its own
        ids = [ids] if run.has(ids) else [id.strip() for id in ids.split(",") if id.strip()]
    if ids:
        return [run.image(id) for id in dict.fromkeys(ids)]
    if cluster is not None and cluster not in run.clusters:
        there = ", ".join(with_name(each, run.names) for each in run.clusters)
        raise ClusteringError(f"there is no cluster {cluster}; there are {there}")
    wanted, count = (run.clusters, 1) if cluster is None else ([cluster], OF_A_CLUSTER)
    chosen: dict[RunImage, None] = {}
    for number in wanted:
        inside = [image for image in run.images if image.cluster == number]
        chosen |= dict.fromkeys(sorted(inside, key=lambda image: image.distance)[:count])
        chosen |= dict.fromkeys(sorted(inside, key=lambda image: image.doubt)[:count])
    return list(chosen)


def _batches(asked: _Asked, choice: Choice, advance: Advance) -> Iterator[tuple[list[RunImage], list[np.ndarray]]]:
    """Read the images, a few at a time, leaving out those that cannot be read any more."""
    size = min(AT_ONCE, auto_batch_size(asked.run.device, choice.recipe, "fp32"))
    for start in range(0, len(asked.images), size):
        part = asked.images[start : start + size]
        read = [(image, picture) for image in part if (picture := _read(image)) is not None]
        if read:
            yield [image for image, _ in read], [picture for _, picture in read]
        advance(len(part))


def _read(image: RunImage) -> np.ndarray | None:
    try:
        return read_image(image.path)
    except ImageError as error:
        logger.warning("image %r is left out: %s: %s", image.id, image.path, error)
        return None


def _cluster_maps(asked: _Asked, album: Album) -> list[str]:
    """What pulls an image into its cluster, and what separates it from the runner-up."""
    run = asked.run
    if noise := [image for image in asked.images if is_noise(image)]:
        raise ClusteringError(f"image {noise[0].id!r} is noise: in no cluster, so that nothing pulls it into one")
    layer = "+".join(eye.place.node for eye in run.eyes)
    with track("cluster maps", len(asked.images), "images", show=asked.show) as advance:
        for images, pictures in _batches(asked, run.eyes[0].choice, advance):
            seen = run.look(pictures)
            own = [int(image.cluster or 0) for image in images]
            pulls = run.heat(seen, pictures, own, [None] * len(own))
            margins = run.heat(seen, pictures, own, [image.runner_up for image in images])
            for image, picture, pull, margin in zip(images, pictures, pulls, margins, strict=True):
                name, cluster = f"cluster-{image.row:06d}", with_name(int(image.cluster or 0), run.names)
                title = f"what pulls {image.id} into cluster {cluster}"
                album.add(overlay(picture, shown(pull)), name, **_about(image, "cluster", layer), title=title)
                if image.runner_up is None:
                    continue
                title = f"what keeps {image.id} out of cluster {with_name(image.runner_up, run.names)}, its runner-up"
                laid = overlay(picture, shown(margin))
                album.add(laid, f"{name}-runner-up", **_about(image, "runner_up", layer), title=title)
    return [_network(eye) for eye in run.eyes]


def _grad_cams(asked: _Asked, album: Album) -> list[str]:
    """Where an image shows a class, by the run's first network and its last grid of places."""
    choice = replace(asked.run.choices[0], layers=(LOGITS,))
    eye = Eye(choice, asked.run.device)
    with track("Grad-CAM", len(asked.images), "images", show=asked.show) as advance:
        for images, pictures in _batches(asked, choice, advance):
            sight = eye.look(pictures)
            scores = sight.outputs[0]
            best = scores.argmax(dim=1).tolist()
            wanted = best if asked.label is None else [class_index(asked.label, scores.shape[1])] * len(best)
            heats = eye.heat(sight, scores[range(len(wanted)), wanted], pictures)
            for image, picture, heat, number in zip(images, pictures, heats, wanted, strict=True):
                name = class_names()[number] if scores.shape[1] == CLASSES else "class"
                album.add(
                    overlay(picture, shown(heat)),
                    f"gradcam-{image.row:06d}-{number}",
                    **_about(image, "gradcam", eye.place.node),
                    title=f"where {image.id} shows {name} ({number})",
                )
    return [_network(eye)]


def _activations(asked: _Asked, album: Album) -> list[str]:
    """An image through layers, early to late, by the run's first network."""
    first = asked.run.choices[0]
    choice = replace(first, layers=asked.layers or tuple(layers_by_size(replace(first, layers=(LOGITS,)))))
    inside = Inside.build(choice, asked.run.device)
    with track("activations", len(asked.images), "images", show=asked.show) as advance:
        for images, pictures in _batches(asked, choice, advance):
            for image, picture in zip(images, pictures, strict=True):
                for layer, channels in zip(choice.layers, inside.activations(picture), strict=True):
                    album.add(
                        _sized(grid_of_channels(channels)),
                        f"activations-{image.row:06d}-{layer}",
                        **_about(image, "activations", str(layer)),
                        title=f"{image.id} through {layer}: {len(channels):,} channels",
                    )
    return [f"{choice.backbone.name} {' '.join(map(str, choice.layers))}"]


def _filters(asked: _Asked, album: Album) -> list[str]:
    """What the filters of layers answer to, by the run's first network."""
    first = asked.run.choices[0]
    layers = asked.layers or tuple(layers_by_size(replace(first, layers=(LOGITS,)))[-1:])
    for layer in layers:
        choice = ascent_choice(first, layer)
        inside = Inside.build(choice, asked.run.device)
        made = inside.ascended(inside.filters(FILTERS), ascent_side(choice), seed=0, steps=STEPS, show=asked.show)
        title = f"what {len(made)} filters of {layer} answer to"
        album.add(Image.fromarray(tiled(made, 4)), f"filters-{layer}", kind="filters", layer=str(layer), title=title)
    return [f"{first.backbone.name} {' '.join(layers)}"]


# What can be asked for, each with what makes its pictures and says of which network and layers they are.
KINDS: dict[str, Callable[[_Asked, Album], list[str]]] = {
    "cluster": _cluster_maps,
    "gradcam": _grad_cams,
    "activations": _activations,
    "filters": _filters,
}


def _about(image: RunImage, kind: str, layer: str) -> dict[str, str | int | None]:
    return {"kind": kind, "id": image.id, "row": image.row, "cluster": image.cluster, "layer": layer}


def _network(eye: Eye) -> str:
    return f"{eye.choice.backbone.name} {eye.place.node}, {eye.place.side} x {eye.place.side} places"


def _sized(grid: np.ndarray) -> Image.Image:
    """Make a grid as wide as a screen shows it: small cells larger, large ones smaller."""
    picture = Image.fromarray(grid)
    if grid.shape[1] > WIDEST:
        return picture.resize((WIDEST, max(1, round(grid.shape[0] * WIDEST / grid.shape[1]))), Image.Resampling.BOX)
    factor = max(1, SMALLEST // grid.shape[1])
    return picture.resize((grid.shape[1] * factor, grid.shape[0] * factor), Image.Resampling.NEAREST)
