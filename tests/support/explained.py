"""Pictures, networks and runs to be explained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from imgcluster.backbones.select import Choice
from imgcluster.backbones.weights.load import find_weights
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.images.decode import read_image
from tests.conftest import write_picture

CPU = torch.device("cpu")


LITE = "efficientnet_lite0"


SUBJECTS = {"cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}


def photograph(name: str, side: int = 224) -> np.ndarray:
    from skimage import data

    path = Path(data.__file__).parent / SUBJECTS[name]
    image = read_image(path)
    crop = image[:, :300] if name == "rocket" else image
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA))


def noise(height: int = 96, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def choice(name: str, *layers: str, weights: str = "random") -> Choice:
    backbone = BACKBONES[name]
    found = find_weights(backbone, weights)
    return Choice(backbone, layers or (backbone.default_layer,), "auto", backbone.recipe, found)


def side_by_side(left: str, right: str) -> np.ndarray:
    """Two photographs in one square picture, the upper and the lower quarter white."""
    both = np.concatenate([photograph(left), photograph(right)], axis=1)
    return np.pad(both, ((112, 112), (0, 0), (0, 0)), constant_values=255)


def half_of_peak(heat: np.ndarray) -> str:
    assert heat.max() == 1
    return "left" if heat.argmax() % heat.shape[1] < heat.shape[1] // 2 else "right"


def write_photographs(folder: Path) -> None:
    """Four of each subject, cut out a little differently."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        image = photograph(list(SUBJECTS)[number % 3], 256)
        top, left = rng.integers(0, 40, 2)
        write_picture(folder / f"{number:04d}.png", image[top : top + 216, left : left + 216])


MakeRun = Callable[..., Path]


def listed(run: Path) -> list[dict[str, Any]]:
    found = json.loads((run / "report" / "explain.json").read_bytes())
    assert found["format"] == 1
    pictures: list[dict[str, Any]] = found["pictures"]
    for picture in pictures:
        assert (run / "report" / picture["file"]).is_file()
    return pictures
