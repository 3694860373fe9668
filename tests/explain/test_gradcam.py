"""Grad-CAM: where heat lies, against captum."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

import imgcluster
from imgcluster.backbones.networks import random_network
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.explain.gradcam import GradCam, positive_part
from tests.support.explained import CPU, LITE, choice, half_of_peak, noise, photograph, side_by_side


@pytest.mark.parametrize(("label", "half"), [("Egyptian cat", "left"), (967, "right")])
def test_grad_cam_peaks_on_the_object_of_the_class(label: str | int, half: str) -> None:
    picture = side_by_side("cat", "coffee")
    heat = imgcluster.grad_cam(picture, label, LITE)
    assert (heat.dtype, heat.shape, heat.min()) == (np.float32, (448, 448), 0)
    assert half_of_peak(heat) == half
    turned = imgcluster.grad_cam(picture[:, ::-1], label, LITE)
    assert half_of_peak(turned) != half


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_constant_image_divides_by_nothing(run: Path, value: int) -> None:
    flat = np.full((60, 90, 3), value, np.uint8)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        for heat in (imgcluster.cluster_map(run, flat), imgcluster.grad_cam(flat, 3, LITE)):
            assert heat.shape == (60, 90)
            assert np.isfinite(heat).all()
            assert (heat.min(), heat.max()) in ((0, 1), (0, 0))
        assert imgcluster.activation_grid(flat, "_blocks.3", LITE).dtype == np.uint8


def test_heat_that_is_nowhere_stays_nothing() -> None:
    for values in (np.zeros((2, 2)), np.full((2, 2), -1.0), np.array([[np.nan, 1.0]]), np.array([[np.inf, 1.0]])):
        assert (positive_part(values.astype(np.float32)) == 0).all()
    assert positive_part(np.array([[-2, 1, 4]], np.float32)).tolist() == [[0, 0.25, 1]]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        ("mobilenet_v3_small", "features"),
        pytest.param("vgg11", "features.19", marks=pytest.mark.slow),
    ],
)
def test_the_maps_are_those_of_captum(name: str, layer: str) -> None:
    network = GradCam(choice(name, "logits"), CPU)
    images = [noise(224, 224), photograph("cat")]
    passed = network.forward(images)
    ours = network.maps(passed, passed.outputs[0][[0, 1], [7, 11]])
    model = random_network(BACKBONES[name])
    captum = LayerGradCam(model, model.get_submodule(layer))
    theirs = captum.attribute(network.pixels(images), target=[7, 11])[:, 0].detach()
    most = float(theirs.abs().max())
    assert most > 0
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-5 * most)


# One of each family; its map is the last before the classifier.
FAMILIES = {
    "alexnet": (256, 13),
    "convnext_tiny": (768, 7),
    "densenet121": (1024, 7),
    "efficientnet_b0": (1280, 7),
    "googlenet": (1024, 7),
    "mnasnet0_5": (1280, 7),
    "mobilenet_v2": (1280, 7),
    "mobilenet_v3_small": (576, 7),
    "regnet_y_400mf": (440, 7),
    "resnet18": (512, 7),
    "shufflenet_v2_x0_5": (1024, 7),
    "squeezenet1_1": (512, 13),
    "swin_t": (768, 7),
    "vgg11": (512, 14),
    "vit_b_32": (768, 7),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_shows_what_its_features_come_from(name: str) -> None:
    network = GradCam(choice(name), CPU)
    image = noise(60, 80)
    passed = network.forward([image])
    channels, side = FAMILIES[name]
    score = passed.outputs[0][:, :8].square().sum(dim=1)
    heat = network.heat_maps(passed, score, [image])[0]
    assert (network.layer.side, channels in network.layer.shape) == (side, True)
    assert passed.outputs[0].shape == (1, BACKBONES[name].dim)
    assert heat.shape == (60, 80)
    assert np.isfinite(heat).all()
    assert np.ptp(heat[8:-8, 18:-18]) > 0
