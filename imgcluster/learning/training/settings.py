"""Settings of a training, its inputs and its result."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError
from imgcluster.images import check_augmentation
from imgcluster.learning.classifiers import Arrays, check_classifier
from imgcluster.types import ImageFile

FEATURES, AUGMENT, FINETUNE = "features", "augment", "finetune"
SEEDS = 2**32
MODES = (FEATURES, AUGMENT, FINETUNE)
USUAL_AUGMENTATION = ("crop", "flip", "color")


@dataclass(frozen=True)
class Training:
    """Settings of training with augmentation or fine-tuning. None: the usual value of the mode.

    Attributes:
        epochs: Maximum number of epochs; the exact number if no image can be held out. An epoch shows each image once,
            with new augmentation.
        learning_rate: Peak learning rate of Adam; it rises during the first tenth of the epochs, then decays to zero.
        batch_size: Images per step; None: an eighth of the labelled images, from 4 to 32.
        dropout: Share of features that a step drops.
        augment: Names of AUGMENTATIONS; empty: no augmentation.
        patience: Epochs without a smaller validation loss before training stops.
        unfreeze: For `finetune`, the first layer or block to train; `all`: the entire network; None: the last block of
            a known family.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    dropout: float = 0.2
    augment: tuple[str, ...] = USUAL_AUGMENTATION
    patience: int | None = None
    unfreeze: str | None = None

    def for_mode(self, mode: str) -> Training:
        """Return these settings with what is usual in the place of None. Raises ConfigError for what cannot be."""
        if self.unfreeze is not None and mode != FINETUNE:
            raise ConfigError(f"unfreeze: {mode} changes no weights of the network; set the mode to {FINETUNE}")
        check_augmentation(self.augment)
        usual = {name: value for name, value in USUAL[mode].items() if getattr(self, name) is None}
        filled = replace(self, **usual)  # type: ignore[arg-type]
        for name, (least, most) in LIMITS.items():
            value = getattr(filled, name)
            if value is not None and not least <= value < most:
                raise ConfigError(f"{name}: {value}; allowed: from {least:g} to below {most:g}")
        return filled

    def batch_of(self, images: int) -> int:
        """Return how many of so many images make a step."""
        return self.batch_size or min(MOST, max(LEAST, images // STEPS))

    @property
    def is_usual(self) -> bool:
        """Whether nothing was set."""
        return all(getattr(self, field.name) == field.default for field in fields(self))


def checked(mode: str, classifier: str, training: Training | None, random_state: int) -> Training:
    """Return the settings of a request, or raise ConfigError where they cannot be, whatever the features."""
    if not 0 <= random_state < SEEDS:
        raise ConfigError(f"random_state: {random_state}; allowed: a whole number from 0 to {SEEDS - 1}")
    if mode not in MODES:
        raise ConfigError(f"mode: there is no {mode!r}; allowed: {', '.join(MODES)}")
    check_classifier(classifier)
    settings = training or Training()
    if mode == FEATURES and not settings.is_usual:
        raise ConfigError(f"mode: {FEATURES} trains nothing that could be set; {AUGMENT} and {FINETUNE} do")
    if mode != FEATURES and classifier != "logistic":
        raise ConfigError(f"classifier: {mode} trains a head of its own; {classifier} is for {FEATURES}")
    return settings if mode == FEATURES else settings.for_mode(mode)


USUAL: dict[str, dict[str, float]] = {
    AUGMENT: {"epochs": 30, "learning_rate": 3e-2, "patience": 10},
    FINETUNE: {"epochs": 16, "learning_rate": 1e-3, "patience": 8},
}
LEAST, MOST, STEPS = 4, 32, 8  # images a step, and steps an epoch
LIMITS: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "learning_rate": (1e-9, 10),
    "batch_size": (1, 100_000),
    "dropout": (0, 1),
    "patience": (1, 100_000),
}


@dataclass(frozen=True)
class Labelled:
    """Images, their classes (n,) int64 from 0, and their features as a config makes them, prepared: (n, dim)."""

    images: list[ImageFile]
    classes: np.ndarray
    points: np.ndarray
    features: FeaturesConfig


@dataclass(frozen=True)
class TrainingResult:
    """What was learned: the arrays of a classifier, and the section of features that they are for.

    held: (n,) bool, the images held back; probabilities: (held.sum(), n_classes), what they got, where there are any.
    """

    arrays: Arrays
    features: FeaturesConfig
    held: np.ndarray
    probabilities: np.ndarray | None
    notes: list[str] = field(default_factory=list)
