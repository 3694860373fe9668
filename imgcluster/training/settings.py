"""How a head, or a head and a block, are trained: what can be set, and what is taken where nothing is."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from imgcluster.errors import ConfigError
from imgcluster.training.augmentation import check_augmentation

AUGMENT, FINETUNE = "augment", "finetune"
USUAL_AUGMENTATION = ("crop", "flip", "color")


@dataclass(frozen=True)
class Training:
    """epochs: at the most, and where no image can be held back, exactly; each sees every picture once, varied anew.

    patience: so many epochs without a smaller loss on the images held back end the training.
    learning_rate: of Adam. batch_size: images a step. dropout: the share of the features that a step does without.
    augment: how pictures are varied, names of AUGMENTATIONS; none: not at all.
    unfreeze: of `finetune`, the layer or block from which on weights are learned; `all`: the whole network; None: the
    last block of the families that are known.
    None elsewhere: what is usual for the mode.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int = 32
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
            if not least <= value < most:
                raise ConfigError(f"{name}: {value}; allowed: from {least:g} to below {most:g}")
        return filled

    @property
    def is_usual(self) -> bool:
        """Whether nothing was set."""
        return all(getattr(self, field.name) == field.default for field in fields(self))


USUAL: dict[str, dict[str, float]] = {
    AUGMENT: {"epochs": 30, "learning_rate": 1e-2, "patience": 5},
    FINETUNE: {"epochs": 12, "learning_rate": 1e-4, "patience": 3},
}
LIMITS: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "learning_rate": (1e-9, 10),
    "batch_size": (1, 100_000),
    "dropout": (0, 1),
    "patience": (1, 100_000),
}
