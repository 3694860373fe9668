"""Phrases as vectors in the space of CLIP's images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgcluster.backbones.clip_networks import import_open_clip, model_name
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.weights.load import Weights
from imgcluster.config import Backbone
from imgcluster.utils import fingerprint_of, installed, kept_file, kept_path, pack_arrays, track, unpack_arrays

FORMAT = 1  # of what is kept: raise it when phrases become vectors in another way
# Averaging the vectors of several sentences about a word is better than one: Radford et al. 2021, "Learning
# Transferable Visual Models From Natural Language Supervision", section 3.1.4.
PROMPTS = ("a photo of a {}", "{}")
BATCH = 64  # phrases
PACKAGES = ("open_clip_torch", "torch")


@dataclass(frozen=True)
class TextVectors:
    """Vectors of phrases, (n, dim) float32 of length 1. scale: the factor of cosines that the network has learned."""

    vectors: np.ndarray
    scale: float


def embed_phrases(backbone: Backbone, weights: Weights, phrases: Sequence[str], *, show: bool) -> TextVectors:
    """Return the vectors of phrases, the mean over PROMPTS of vectors of length 1, and the network's scale.

    They are kept under the cache folder. Raises WeightsError: the weights do not fit.
    """
    versions = {package: installed(package) for package in PACKAGES}
    about = [FORMAT, backbone.name, weights.sha256, list(phrases), versions]
    found: TextVectors = kept_file(
        kept_path("phrases", f"{fingerprint_of(about)}.npz"),
        lambda: _embedded(backbone, weights, phrases, show),
        lambda data: unpack_arrays(data, (TextVectors,)),
        pack_arrays,
    )
    return found


def _embedded(backbone: Backbone, weights: Weights, phrases: Sequence[str], show: bool) -> TextVectors:
    import torch

    model: Any = network_with(backbone, weights)
    tokenize = import_open_clip().get_tokenizer(model_name(backbone))
    parts = []
    with torch.inference_mode(), track("phrases", len(phrases), "phrases", show=show) as advance:
        for start in range(0, len(phrases), BATCH):
            batch = phrases[start : start + BATCH]
            tokens = [tokenize([prompt.format(phrase) for phrase in batch]) for prompt in PROMPTS]
            each = [model.encode_text(prompts, normalize=True) for prompts in tokens]
            parts.append(torch.nn.functional.normalize(sum(each), dim=-1).float().numpy())
            advance(len(batch))
    return TextVectors(np.concatenate(parts), math.exp(model.logit_scale.item()))
