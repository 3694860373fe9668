"""Names for clusters from a list of words: the phrase that CLIP is sure of over a cluster's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgcluster.backbones import NAMING_NETWORK, TextVectors, embed_phrases, find_backbone, find_clip_weights
from imgcluster.config import FeaturesConfig, features_from_dict
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.features import extract_features
from imgcluster.report.cluster_names import Guess, Guesses, asked_rows, known_rows, sure_class
from imgcluster.runs import FinishedRun, listed_images
from imgcluster.utils import fingerprint_of, shown

MAX_PHRASES = 10_000  # each takes 0.15 s of CPU, once
LIKELIER = 2.0  # than the next phrase, a name has to be
KEY = "outputs.names_from"
# Phrases that any picture fits. A name has to be likelier than all of them.
NEUTRAL = ("thing", "object", "picture", "scene", "texture", "something else")


@dataclass(frozen=True)
class Phrases:
    """Phrases of a file, each once, in its order. digest: tells them, and how they become names, from others."""

    texts: list[str]
    digest: str


def read_phrases(path: Path) -> Phrases:
    """Read a text file of one word or phrase a line. Blank lines and repeated ones do not count.

    Raises ConfigError: it cannot be read, is not UTF-8, or has no phrase or too many.
    """
    name = f"{KEY}: {shown(str(path))!r}"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from None
    except UnicodeError:
        raise ConfigError(f"{name} is not UTF-8 text; save it as UTF-8, one word or phrase a line") from None
    texts = list(dict.fromkeys(text for line in lines if (text := " ".join(line.split()))))
    if not texts:
        raise ConfigError(f"{name} is empty; write one word or phrase a line")
    if len(texts) > MAX_PHRASES:
        raise ConfigError(f"{name} has {len(texts):,} phrases; at most {MAX_PHRASES:,} are compared")
    return Phrases(texts, fingerprint_of([texts, NEUTRAL, NAMING_NETWORK]))


def check_words(path: str) -> None:
    """Raise ConfigError where no names can be made of a file of words: its contents, or a package is missing."""
    read_phrases(Path(path))
    try:
        find_backbone(NAMING_NETWORK)
    except ConfigError as error:
        raise ConfigError(f"{KEY}: {str(error).removeprefix('features.backbone: ')}") from error


def name_by_words(images: Mapping[int, Sequence[int]], run: FinishedRun, phrases: Phrases, *, show: bool) -> Guesses:
    """Name clusters by the phrase that is sure over images of each.

    The vectors of the images are kept in the run's store, those of the phrases in the cache folder.

    images: rows of clusters.csv by number of cluster, the largest cluster first.
    """
    asked, rows = asked_rows(images)
    config, storage = run.config.features, run.places.storage
    if not rows:
        return Guesses({})
    try:
        backbone = find_backbone(NAMING_NETWORK)
        weights = find_clip_weights(backbone, config.max_download_bytes, show=show)
        texts = embed_phrases(backbone, weights, [*phrases.texts, *NEUTRAL], show=show)
        listed = listed_images(run.places.rows([run.rows[row] for row in rows]), storage)
        found = extract_features(listed, _of_network(config), missing="skip", storage=storage, show=show)
    except ImgclusterError as error:
        return Guesses({}, f"no names from words: {error}")
    row_of = dict(zip(listed, rows, strict=True))
    vectors = {row_of[image]: vector for image, vector in zip(found.images, found.vectors, strict=True)}
    known = known_rows(asked, vectors)
    return Guesses({number: choose_phrase(each, texts, phrases.texts) for number, each in known.items()})


def choose_phrase(images: np.ndarray, texts: TextVectors, phrases: Sequence[str]) -> Guess | None:
    """Return the phrase of some images, (m, dim), and its mean probability; None where none is sure.

    A probability is the softmax of cosines times the network's scale, over the phrases and the neutral ones after them:
    without training on the pictures, CLIP's are well calibrated (Minderer et al. 2021, "Revisiting the Calibration of
    Modern Neural Networks", section 4).
    """
    lengths = np.linalg.norm(images, axis=1, keepdims=True)
    cosines = (images / np.maximum(lengths, np.finfo(np.float32).tiny)) @ texts.vectors.T
    odds = np.exp(texts.scale * (cosines - cosines.max(axis=1, keepdims=True)))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    first, means = sure_class(probabilities), probabilities.mean(axis=0, dtype=np.float64)
    if first is None or first >= len(phrases) or means[first] < LIKELIER * np.sort(means)[-2]:
        return None
    return Guess(phrases[first], float(means[first]))


def _of_network(config: FeaturesConfig) -> FeaturesConfig:
    """Return the config of the image tower's vectors. Its name is no backbone of configs, so it is not validated."""
    keys = {"device": config.device, "store": config.store, "preprocess": "backbone", "fallback": None}
    return features_from_dict(keys).model_copy(update={"backbone": NAMING_NETWORK}).read_as(config.reading)
