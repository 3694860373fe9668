"""Class names of ImageNet."""

from __future__ import annotations

CLASSES = 1000


def class_names() -> list[str]:
    """Return the names of ImageNet's 1000 classes in the order of the logits, as torchvision has them."""
    from torchvision.models import AlexNet_Weights

    return list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
