"""Grad-CAM of a hundred photographs against captum's, on the same network with the same pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam

from imgcluster import list_images, write_sample
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.loader import FeaturesConfig, ImagesConfig
from imgcluster.explain.gradcam import GradCam, positive_part
from imgcluster.images.decode import read_image
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.rows import Row

BATCH = 16
IMAGES = {False: 100, True: 20}  # by --quick
ROUNDS = {False: 3, True: 1}
LABEL = 285


def explain(quick: bool) -> Iterator[Row]:
    """EfficientNet-Lite0, fp32, in batches of 16, each map enlarged to its photograph's size; reading not counted."""
    with TemporaryDirectory() as own:
        write_sample("photos", Path(own) / "photos")
        images, _ = list_images(ImagesConfig(folder=str(Path(own) / "photos" / "test")))
        pictures = [read_image(image.path) for image in images[: IMAGES[quick]]]
    config = FeaturesConfig(backbone="efficientnet_lite0", layer=("logits",))
    choice = replace(choose_backbones(config, progress=False)[0], pooling="auto")
    network = GradCam(choice, torch.device("cpu"))
    model = network_with(choice.backbone, choice.weights)
    captum = LayerGradCam(model, model.get_submodule("_bn1"))

    def ours(number: int) -> list[np.ndarray]:
        heats: list[np.ndarray] = []
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            passed = network.forward(batch)
            heats += map(positive_part, network.heat_maps(passed, passed.outputs[0][:, LABEL], batch))
        return heats

    def theirs(number: int) -> list[np.ndarray]:
        heats: list[np.ndarray] = []
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            maps = captum.attribute(network.pixels(batch), target=LABEL, relu_attributions=True)
            for one, picture in zip(maps.detach(), batch, strict=True):
                heat = LayerAttribution.interpolate(one[None], picture.shape[:2], "bilinear")
                heats.append(heat[0, 0].numpy())
        return heats

    ours(0), theirs(0)
    rates = take_turns({"ours": ours, "captum": theirs}, ROUNDS[quick])
    yield Row(
        "explain",
        f"Grad-CAM of {len(pictures)} photographs, EfficientNet-Lite0",
        f"{median(rates['ours']):.1f} img/s",
        f"captum {median(rates['captum']):.1f}",
        f"{median_ratio(rates['ours'], rates['captum']):.2f}",
        ">= 1",
    )
