"""Images that a run has not seen: opened as it opens its own, with features as it has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgcluster.config import ImagesConfig
from imgcluster.errors import ConfigError
from imgcluster.features import Features, check_readable, extract_features, with_stamps
from imgcluster.images import images_at, is_held, open_again, open_all_again, parts_of_files, walk_images
from imgcluster.runs.listed import config_of
from imgcluster.types import ImageFile
from imgcluster.utils import DEFAULT_STORAGE, Storage


def features_of_new(
    folder: Path, record: dict[str, Any], images: str | Path | Sequence[str | Path], *, show: bool = True
) -> tuple[Sequence[ImageFile], Features]:
    """Return new images, and their features by the backbones, views and precision of a run.

    Features go into the run's store, and are never computed again. record: run.json of the run in `folder`.
    Raises ConfigError where its features cannot be made again, and as `given_images` and `extract_features`.
    """
    config = config_of(record, folder)
    if config.features.file is not None:
        raise ConfigError(f"{str(folder)!r} has its features from a file: those of new images cannot be made")
    storage = Storage(config.storage)
    given = given_images(images, storage, config.images)
    fingerprints = [str(origin["fingerprint"]) for origin in record["features"]]
    features = extract_features(given, config.features, storage=storage, show=show, like=fingerprints)
    check_readable(features)
    _check_same(record, features, folder)
    return given, features


def given_images(
    images: str | Path | Sequence[str | Path], storage: Storage = DEFAULT_STORAGE, config: ImagesConfig | None = None
) -> Sequence[ImageFile]:
    """Return the images of a folder, a URL or an archive; one image; or those of a list, whose ids are their paths.

    config: says which frames of videos and which pages of TIFFs are images; None: no frames, first pages.
    Raises ImageError: no image, or a video where no frames are asked for.
    """
    asked = config or ImagesConfig(folder=".")
    if not isinstance(images, str | Path):
        texts = [str(path) for path in images]
        places = with_stamps(open_all_again(texts, storage))
        listed = [ImageFile(text, place) for text, place in zip(texts, places, strict=True)]
        return parts_of_files(listed, asked.video, asked.pages)
    if is_held(str(images)):
        return images_at(str(images), storage)
    place = Path(images)
    if place.is_dir():
        return walk_images(place, asked.video, asked.pages)
    return parts_of_files([ImageFile(place.name, open_again(str(place), storage))], asked.video, asked.pages)


def _check_same(record: dict[str, Any], features: Features, folder: Path) -> None:
    """Refuse features of other numbers than the run's, as after a fallback, with other weights or another precision."""
    for origin, theirs in zip(features.origins, record["features"], strict=False):
        if origin.fingerprint != theirs["fingerprint"]:
            raise ConfigError(
                f"these features are of {origin.backbone} in {origin.precision} by {origin.runtime}, those of "
                f"{str(folder)!r} of {theirs['backbone']} in {theirs['precision']} by {theirs['runtime']}, or of other "
                "weights: run its config again here"
            )
