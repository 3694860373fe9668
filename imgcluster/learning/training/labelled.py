"""What training gets and gives, as plain values that need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imgcluster.config import FeaturesConfig
from imgcluster.learning.classifiers import Arrays
from imgcluster.types import ImageFile


@dataclass(frozen=True)
class Labelled:
    """Images, their classes (n,) int64 from 0, and their features as a config makes them, prepared: (n, dim)."""

    images: list[ImageFile]
    classes: np.ndarray
    points: np.ndarray
    features: FeaturesConfig


@dataclass(frozen=True)
class Taught:
    """What was learned: the arrays of a classifier, and the section of features that they are for.

    held: (n,) bool, the images held back; probabilities: (held.sum(), n_classes), what they got, where there are any.
    """

    arrays: Arrays
    features: FeaturesConfig
    held: np.ndarray
    probabilities: np.ndarray | None
    notes: list[str] = field(default_factory=list)
