"""The loop as it was published with the stage task: one image at a time, from the file to 4096 numbers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.models import vgg16
from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor

from imgcluster import ImageFile
from imgcluster.backbones.weights.load import RANDOM_SEED


class PublishedLoop:
    """Callable: images -> (n, 4096) float32, by VGG16 with the same random weights as ours."""

    def __init__(self, device: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            network = vgg16(weights=None)
        network.classifier = network.classifier[:1]
        self._network = network.eval().to(device)
        self._device = device
        self._transform = Compose([CenterCrop(512), Resize(448), ToTensor()])

    def __call__(self, images: Sequence[ImageFile]) -> np.ndarray:
        return np.stack([self._features(image) for image in images])

    @torch.no_grad()
    def _features(self, image: ImageFile) -> np.ndarray:
        picture = Image.fromarray(np.asarray(cv2.imread(str(image.path))))  # BGR, as published
        pixels = self._transform(picture).unsqueeze(0).to(self._device)
        return np.asarray(self._network(pixels).squeeze(0).cpu().numpy())
