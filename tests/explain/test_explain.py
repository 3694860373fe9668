"""`explain`: where heat lies, against captum and against plain torch; the pictures and their list; what is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch import nn

import imgcluster
from imgcluster.backbones.layer_outputs import cut
from imgcluster.backbones.networks import random_network
from imgcluster.backbones.select import Choice
from imgcluster.backbones.weights.load import find_weights
from imgcluster.cli.main import main
from imgcluster.clustering.distances import centroid_distances
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.config.recipe import Recipe
from imgcluster.errors import ClusteringError, ConfigError, ImageError, OutputError
from imgcluster.explain import run_explanation
from imgcluster.explain.activations import LayerNetwork
from imgcluster.explain.filters import ascend
from imgcluster.explain.gradcam import GradCam, positive_part
from imgcluster.explain.heatmap import standardized, tiled
from imgcluster.explain.run import ExplainedRun
from imgcluster.explain.spatial_layers import before_activation
from imgcluster.explain.targets import class_index, class_names, margins, transformed
from imgcluster.features.transforms import apply_transform, fit_transform
from imgcluster.images.decode import read_image
from imgcluster.images.geometry import onto_picture, windows_of
from imgcluster.images.preprocess import prepare
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


# Where the heat lies


def side_by_side(left: str, right: str) -> np.ndarray:
    """Two photographs in one square picture, the upper and the lower quarter white."""
    both = np.concatenate([photograph(left), photograph(right)], axis=1)
    return np.pad(both, ((112, 112), (0, 0), (0, 0)), constant_values=255)


def half_of_peak(heat: np.ndarray) -> str:
    assert heat.max() == 1
    return "left" if heat.argmax() % heat.shape[1] < heat.shape[1] // 2 else "right"


@pytest.mark.parametrize(("label", "half"), [("Egyptian cat", "left"), (967, "right")])
def test_grad_cam_peaks_on_the_object_of_the_class(label: str | int, half: str) -> None:
    picture = side_by_side("cat", "coffee")
    heat = imgcluster.grad_cam(picture, label, LITE)
    assert (heat.dtype, heat.shape, heat.min()) == (np.float32, (448, 448), 0)
    assert half_of_peak(heat) == half
    turned = imgcluster.grad_cam(picture[:, ::-1], label, LITE)
    assert half_of_peak(turned) != half


@pytest.fixture(scope="module")
def _made() -> dict[str, Path]:
    return {}


def write_photographs(folder: Path) -> None:
    """Four of each subject, cut out a little differently."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        image = photograph(list(SUBJECTS)[number % 3], 256)
        top, left = rng.integers(0, 40, 2)
        write_picture(folder / f"{number:04d}.png", image[top : top + 216, left : left + 216])


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Runs over the photographs, or another folder: `make_run("features.views=whole", ...)` -> the run folder."""

    def make(*overrides: str, folder: Path | None = None, out: str = "run") -> Path:
        if folder is None and not (folder := tmp_path / "photographs").exists():
            write_photographs(folder)
        values = {
            "images": {"folder": str(folder)},
            "features": {"backbone": LITE, "runtime": "torch", "precision": "fp32", "store": str(tmp_path / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3},
            "outputs": {"folder": str(tmp_path / out)},
        }
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(values))
        imgcluster.run(imgcluster.load_config(path, list(overrides)), show=False)
        return tmp_path / out

    return make


@pytest.fixture
def run(_made: dict[str, Path], make_run: MakeRun) -> Path:
    """One run of three clusters, the same for all tests: they may write into its report alone."""
    if "run" not in _made:
        _made["run"] = make_run("clusters.transform=[sqrt, l2, {pca: 8}, l2]")
    return _made["run"]


def cluster_of(run: Path, subject: str) -> int:
    of = {image.cluster for image in ExplainedRun(run).images if image.row % 3 == list(SUBJECTS).index(subject)}
    assert len(of) == 1  # the clusters are the subjects
    return int(of.pop() or 0)


def test_the_map_of_a_cluster_peaks_on_its_own_object(run: Path) -> None:
    opened = ExplainedRun(run)
    for left, right in (("cat", "coffee"), ("coffee", "rocket"), ("rocket", "cat")):
        picture = side_by_side(left, right)
        own, other = cluster_of(run, left), cluster_of(run, right)
        for against in ("others", other):
            heat = imgcluster.cluster_map(opened, picture, cluster=own, against=against)  # type: ignore[arg-type]
            assert half_of_peak(heat) == "left"
        assert half_of_peak(imgcluster.cluster_map(opened, picture, cluster=other, against=own)) == "right"


def test_a_picture_belongs_to_its_nearest_cluster_and_its_runner_up_is_the_next(run: Path) -> None:
    opened, picture = ExplainedRun(run), photograph("coffee")
    own = cluster_of(run, "coffee")
    assert np.array_equal(imgcluster.cluster_map(run, picture), imgcluster.cluster_map(run, picture, cluster=own))
    second = opened.nearest(opened.forward([picture]).points)[0][1]
    found = imgcluster.cluster_map(opened, picture, against="runner_up")
    assert np.array_equal(found, imgcluster.cluster_map(opened, picture, against=second))
    third = next(number for number in range(3) if number not in (own, second))
    assert not np.array_equal(found, imgcluster.cluster_map(opened, picture, against=third))


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


# Against captum and plain torch


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


class Branching(nn.Module):
    """Nobody can trace it; behind its map it works in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.early = nn.Conv2d(3, 4, 3, padding=1)
        self.late = nn.Conv2d(4, 5, 3, padding=1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.early(x)
        if x.sum() > 1e9:
            return x
        x = self.late(x)
        x += 1
        return self.head((x * x).mean(dim=(2, 3)))


class Straight(Branching):
    """The same, to be traced."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.late(self.early(x))
        x = x.add_(1)  # of `x += 1`, tracing makes a sum
        return self.head((x * x).mean(dim=(2, 3)))


@pytest.mark.parametrize("kind", [Branching, Straight])
def test_gradients_begin_where_the_network_is_cut(kind: type[Branching]) -> None:
    pixels = torch.rand(2, 3, 6, 6)
    model = kind().eval()
    place, scores = cut(model, "late", ["head"], "own")(pixels)
    (found,) = torch.autograd.grad(scores[:, 1].sum(), place)
    values = model.late(model.early(pixels)).detach()
    assert torch.equal(place.detach(), values)
    # d/dv of head[1] . mean((v + 1)^2) is 2 (v + 1) head[1] / 36
    expected = 2 * (values + 1) * model.head.weight[1].view(1, 5, 1, 1).detach() / 36
    assert torch.allclose(found, expected, atol=1e-7)
    assert place.grad_fn is None


def test_activations_are_what_hooks_see() -> None:
    image = photograph("cat")
    grid = imgcluster.activation_grid(image, "relu4_1", "vgg11", weights="random")
    model = random_network(BACKBONES["vgg11"])
    seen: list[torch.Tensor] = []
    model.features[12].register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
    pixels = np.empty((1, 224, 224, 3), np.uint8)
    prepare(image, BACKBONES["vgg11"].recipe, pixels)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std)
    channels = seen[0][0].double().numpy()
    assert grid.shape == (32 * 28, 16 * 28)
    for number in (0, 17, 511):
        row, column = divmod(number, 16)
        cell = grid[28 * row : 28 * row + 28, 28 * column : 28 * column + 28].astype(int)
        one = channels[number]
        expected = ((one - one.mean()) / (one.std() or 1) * 64 + 128).clip(0, 255)
        assert np.abs(cell - expected).max() <= 1
    assert grid.std() > 30


def test_a_dead_channel_is_grey_and_the_grid_has_sixteen_in_a_row() -> None:
    channels = np.zeros((18, 2, 3), np.float32)
    channels[17] = [[0, 0, 0], [0, 0, 100]]
    with np.errstate(all="raise"):
        cells = standardized(channels)
    assert (cells[:17] == 128).all()
    assert cells[17].max() == 255
    grid = tiled(cells)
    assert grid.shape == (4, 48)
    assert np.array_equal(grid[2:, 3:6], cells[17])
    assert (grid[2:, 6:] == 0).all()


def test_a_layer_without_places_has_no_activations() -> None:
    with pytest.raises(ConfigError, match="vgg11 fc6: has no grid of places"):
        imgcluster.activation_grid(noise(), "fc6", "vgg11", weights="random")


def test_tokens_are_shown_as_the_grid_they_stand_for() -> None:
    grid = imgcluster.activation_grid(noise(224, 224), "encoder.ln", "vit_b_32", weights="random")
    assert grid.shape == (768 // 16 * 7, 16 * 7)


# Filters


def filters(seed: int, wanted: list[int], steps: int = 3) -> np.ndarray:
    return imgcluster.filter_images(
        "features.3.expand3x3", wanted, "squeezenet1_1", weights="random", side=48, steps=steps, seed=seed
    )


def test_filters_are_the_same_for_the_same_seed() -> None:
    first = filters(0, [0, 3])
    assert (first.shape, first.dtype) == ((2, 48, 48, 3), np.uint8)
    assert np.array_equal(first, filters(0, [0, 3]))
    assert np.abs(first.astype(int) - filters(1, [0, 3])).mean() > 10
    assert np.abs(first[0].astype(int) - first[1]).mean() > 5
    alone = filters(0, [3])[0]  # whatever else is asked for, but for the last bits of sums
    assert np.abs(alone.astype(int) - first[1]).mean() < 1


def test_a_filter_answers_more_to_its_picture_than_to_noise() -> None:
    network = LayerNetwork.build(choice("squeezenet1_1", "features.3.expand3x3"), CPU)
    start = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 20 + 118
    made = torch.tensor(ascend(network, start, [0, 3, 9], 20)).permute(0, 3, 1, 2)
    recipe = network.choice.recipe
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (recipe.mean, recipe.std))
    before, after = (network.network((pixels / 255 - mean) / std)[0][:, [0, 3, 9]] for pixels in (start, made))
    assert (after.mean(dim=(2, 3)).diag() > before.mean(dim=(2, 3))[0] + 0.1).all()
    moved = (made - start).square().mean(dim=(1, 2, 3)).sqrt()
    assert ((moved > 5) & (moved <= 20)).all()  # 20 steps, each 1.0 in the root mean square


def test_what_goes_into_an_activation_is_climbed() -> None:
    vgg, lite = BACKBONES["vgg11"], BACKBONES[LITE]
    assert before_activation(vgg, "relu4_1", 224) == "features.11"
    assert before_activation(vgg, "conv4_1", 224) == "features.11"
    assert before_activation(lite, "_swish_1", 224) == "_bn1"
    assert before_activation(vgg, "fc6", 224) == "classifier.0"


@pytest.mark.parametrize("wanted", [[64], [-1]])
def test_a_filter_that_is_not_there(wanted: list[int]) -> None:
    with pytest.raises(ConfigError, match=rf"features.3.expand3x3 has no filter {wanted[0]}: it has 64, from 0"):
        filters(0, wanted)


# From the network's square back onto the picture

RECIPES = {
    "backbone": Recipe((("resize", 64), ("center_crop", 56))),
    "stage": Recipe((("center_crop", 128), ("resize", 56)), channels="bgr", resampling="pillow"),
    "squash": Recipe((("squash", 56),)),
    "letterbox": Recipe((("letterbox", 56),)),
    "twice": Recipe((("squash", 80), ("resize", 70), ("center_crop", 56))),
}


@pytest.mark.parametrize("size", [(100, 180), (181, 101), (60, 60)])
@pytest.mark.parametrize("views", ["center", "flip", "whole", "five_crops", "ten_crops"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_spot_comes_back_to_where_it_was(name: str, views: str, size: tuple[int, int]) -> None:
    recipe = replace(RECIPES[name], views=views)
    if views not in ("center", "flip") and recipe.steps[-1][0] != "center_crop":
        return  # such a recipe is refused
    height, width = size
    row, column = round(height * 0.45), round(width * 0.42)
    image = np.zeros((height, width, 3), np.uint8)
    image[row - 3 : row + 4, column - 3 : column + 4] = 255
    out = np.empty((recipe.n_views, 56, 56, 3), np.uint8)
    prepare(image, recipe, out)
    windows = windows_of(recipe, height, width)
    assert len(windows) == recipe.n_views
    for view, window in zip(out[..., 0], windows, strict=True):
        if view.max() < 100:
            continue  # a corner that does not see it
        heat = onto_picture(view[None], [window], height, width)
        peak = np.argwhere(heat > 0.9 * heat.max()).mean(axis=0)
        assert np.abs(peak - (row, column)).max() < 2
    heat = onto_picture(out[..., 0], windows, height, width)
    assert np.abs(np.argwhere(heat > 0.9 * heat.max()).mean(axis=0) - (row, column)).max() < 3


def test_what_the_network_does_not_see_is_zero() -> None:
    recipe = RECIPES["backbone"]
    heat = onto_picture(np.ones((1, 7, 7)), windows_of(recipe, 64, 128), 64, 128)
    assert np.array_equal(np.flatnonzero(heat.any(axis=0)), np.arange(36, 92))
    assert np.array_equal(np.flatnonzero(heat.any(axis=1)), np.arange(4, 60))
    assert np.allclose(heat[4:60, 36:92], 1)
    padded = onto_picture(np.ones((1, 7, 7)), windows_of(RECIPES["stage"], 40, 40), 40, 40)
    assert np.allclose(padded, 1)


def test_views_go_over_into_each_other_without_an_edge() -> None:
    recipe = replace(RECIPES["backbone"], views="whole")
    maps = np.stack([np.ones((7, 7)), np.zeros((7, 7))])
    heat = onto_picture(maps, windows_of(recipe, 64, 128), 64, 128)
    assert heat.max() > 0.45
    assert np.abs(np.diff(heat, axis=1)).max() < 0.1
    assert np.abs(np.diff(heat, axis=0)).max() < 0.2


# What is explained

CHAINS: list[list[Any]] = [
    [],
    ["sqrt", "l2", {"pca": 4}, "l2"],
    ["standardize", {"whiten": 3}],
    [{"pca": 0.9}, "standardize", "sqrt"],
]


@pytest.mark.parametrize("steps", CHAINS)
def test_the_transform_is_the_run_s_with_gradients(steps: list[Any]) -> None:
    rng = np.random.default_rng(0)
    vectors, others = (rng.normal(size=(30, 6)).astype(np.float32) for _ in range(2))
    _, state = fit_transform(vectors, steps, 0)
    others[0] = 0
    features = torch.tensor(others, requires_grad=True)
    points = transformed(features, state)
    assert np.allclose(points.detach().numpy(), apply_transform(others, state), atol=1e-5)
    (gradient,) = torch.autograd.grad(points.square().sum() + points.sum(), features)
    assert gradient.isfinite().all()
    assert (gradient[1:].abs().sum(dim=1) > 0).all()


def test_umap_cannot_be_followed_back() -> None:
    with pytest.raises(ClusteringError, match="umap cannot be followed back to the pictures"):
        transformed(torch.zeros(1, 2), {"steps": np.array(["umap"])})


def test_margins_are_differences_of_squared_distances() -> None:
    rng = np.random.default_rng(0)
    points, centroids = rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
    centroids[1] = np.nan  # nobody's number
    squared = centroid_distances(points, centroids[[0, 2, 3]]) ** 2
    given = torch.tensor(points), torch.tensor(centroids)
    against_others = margins(*given, [0, 2, 3], [None, None, None])
    expected = [squared[0, [1, 2]].mean(), squared[1, [0, 2]].mean(), squared[2, [0, 1]].mean()]
    assert np.allclose(against_others, np.array(expected) - squared[[0, 1, 2], [0, 1, 2]])
    assert np.allclose(margins(*given, [0, 2, 3], [3, 0, 2]), squared[[0, 1, 2], [2, 0, 1]] - np.diag(squared))
    alone = margins(given[0], given[1][:2], [0, 0, 0], [None, None, None])
    assert np.allclose(alone, (points**2).sum(axis=1) - squared[:, 0])


@pytest.mark.parametrize(("asked", "index"), [(386, 386), ("386", 386), ("African elephant", 386), ("espresso", 967)])
def test_a_class_by_index_or_name(asked: int | str, index: int) -> None:
    assert class_index(asked) == index


@pytest.mark.parametrize(
    ("asked", "n_classes", "message"),
    [
        ("african_elefant", 1000, r"there is no class 'african_elefant'; near it: African elephant \(386\)"),
        ("cat", 1000, r"near it: .*Persian cat \(283\)"),
        ("qqqqqq", 1000, "there is no class 'qqqqqq'; give a number"),
        (1000, 1000, "class 1000: there are 1,000, from 0 to 999"),
        ("espresso", 21841, "names are those of ImageNet's 1,000; this network has 21,841"),
        ("-1", 1000, "there is no class '-1'"),
    ],
)
def test_a_class_that_is_not_there(asked: int | str, n_classes: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        class_index(asked, n_classes)


def test_a_name_of_several_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Crane" if number in (134, 517) else name for number, name in enumerate(class_names())]
    monkeypatch.setattr("imgcluster.explain.targets.class_names", lambda: names)
    with pytest.raises(ConfigError, match="class 'crane' is the name of several: 134, 517; give the number"):
        class_index("crane")


def test_the_names_are_in_the_order_of_the_scores() -> None:
    likeliest = imgcluster.grad_cam(photograph("coffee"), None, LITE)
    assert np.array_equal(likeliest, imgcluster.grad_cam(photograph("coffee"), "espresso", LITE))
    assert class_names()[967] == "espresso"


# Pictures


def test_the_overlay_is_jet_at_two_fifths() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    heat = np.array([[0, 0.5, 1], [0, 0, 0]], np.float32)
    laid = imgcluster.overlay(image, heat)
    assert isinstance(laid, Image.Image)
    assert laid.size == (3, 2)
    blue, green, red = (np.asarray(laid)[0, at].tolist() for at in range(3))
    assert blue == [60, 60, 111]  # 0.6 * 100 + 0.4 * (0, 0, 128)
    assert red == [111, 60, 60]
    assert green[1] == 162
    assert np.asarray(imgcluster.overlay(Image.fromarray(image), heat)).tolist() == np.asarray(laid).tolist()


def test_heat_of_another_picture_is_refused() -> None:
    with pytest.raises(ImageError, match=r"heat of \(2, 2\) is not of this picture, which is \(2, 3\)"):
        imgcluster.overlay(np.zeros((2, 3, 3), np.uint8), np.zeros((2, 2)))


# Runs


def listed(run: Path) -> list[dict[str, Any]]:
    found = json.loads((run / "report" / "explain.json").read_bytes())
    assert found["format"] == 1
    pictures: list[dict[str, Any]] = found["pictures"]
    for picture in pictures:
        assert (run / "report" / picture["file"]).is_file()
    return pictures


def test_the_typical_and_the_borderline_image_of_each_cluster(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(run), "--quiet"]) == 0
    pictures = listed(run)
    table = ExplainedRun(run).images
    for number in range(3):
        inside = [image for image in table if image.cluster == number]
        typical = min(inside, key=lambda image: image.distance)
        borderline = min(inside, key=lambda image: image.runner_up_distance - image.distance)
        assert {p["id"] for p in pictures if p["cluster"] == number} == {typical.id, borderline.id}
        one = next(p for p in pictures if p["id"] == typical.id and p["kind"] == "runner_up")
        assert one == {
            "kind": "runner_up",
            "file": f"explain/cluster-{typical.row:06d}-runner-up.jpg",
            "id": typical.id,
            "row": typical.row,
            "cluster": number,
            "layer": "_swish_1",
            "title": f"what keeps {typical.id} out of cluster {typical.runner_up}, its second choice",
        }
        with Image.open(run / "report" / f"explain/cluster-{typical.row:06d}.jpg") as picture:
            assert picture.size == (216, 216)
            laid = np.asarray(picture.convert("RGB")).astype(int)
        image = read_image(typical.path)
        expected = imgcluster.overlay(image, imgcluster.cluster_map(run, typical.id))
        assert np.abs(laid - np.asarray(expected)).mean() < 4  # but for JPEG
    assert "efficientnet_lite0 _swish_1, a 7 x 7 grid" in capsys.readouterr().out


def test_points_are_where_the_run_found_them(run: Path) -> None:
    opened = ExplainedRun(run)
    images = opened.images[:5]
    points = opened.forward([read_image(image.path) for image in images]).points.detach()
    for image, point in zip(images, points, strict=True):
        away = (point - opened._centroids[image.cluster]).norm()
        assert float(away) == pytest.approx(image.distance, rel=1e-3)


@pytest.mark.slow
def test_later_explanations_are_added_until_the_clusters_change(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcluster.explain.run_explanation.STEPS", 1)
    monkeypatch.setattr("imgcluster.explain.run_explanation.DEFAULT_FILTERS", 3)
    run = make_run()
    imgcluster.explain_run(run, images=["0003.png"], show=False)
    kinds = ("cluster", "gradcam", "activations", "filters")
    done = imgcluster.explain_run(
        run, images="0003.png,0004.png", kinds=kinds, layers=["_blocks.3"], label="espresso", show=False
    )
    pictures = listed(run)
    assert len({picture["file"] for picture in pictures}) == len(pictures) == len(done.pictures)
    files = {picture["file"] for picture in pictures}
    assert {
        "explain/gradcam-000003-967.jpg",
        "explain/activations-000004-_blocks.3.jpg",
        "explain/filters-_blocks.3.jpg",
        "explain/cluster-000003.jpg",
    } <= files
    (alone,) = (picture for picture in pictures if picture["kind"] == "filters")
    assert (alone["id"], alone["row"], alone["cluster"], alone["layer"]) == (None, None, None, "_blocks.3")
    imgcluster.explain_run(run, cluster=pictures[0]["cluster"], show=False)
    assert files < {picture["file"] for picture in listed(run)}
    table = run / "clusters.csv"
    table.write_text(table.read_text().replace(",ok,", ",ok,", 1) + "\n")
    (run / "report" / "explain" / "mine.jpg").write_bytes(b"")
    imgcluster.explain_run(run, images=["0005.png"], show=False)
    assert {picture["id"] for picture in listed(run)} == {"0005.png"}
    left = {path.name for path in (run / "report" / "explain").iterdir()}
    assert left == {"cluster-000005.jpg", "cluster-000005-runner-up.jpg", "mine.jpg"}


def test_ids_are_no_file_names(make_run: MakeRun, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    (folder / "a,b").mkdir(parents=True)
    names = ['a,b/<i>&"é.png', "0001.png", "0002.png"]
    for number, name in enumerate(names):
        write_picture(folder / "x.png", photograph(list(SUBJECTS)[number]))
        (folder / "x.png").rename(folder / name)
    run = make_run("clusters.n_clusters=2", folder=folder)
    imgcluster.explain_run(run, images=names[0], show=False)
    assert {picture["id"] for picture in listed(run)} == {names[0]}
    assert all(path.name.startswith("cluster-00000") for path in (run / "report" / "explain").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0003.pn"], "has no image '0003.pn'; near it: '0003.png'"),
        (["--cluster", "7"], "there is no cluster 7; there are 0, 1, 2"),
        (["--kinds", "clusters"], "there is no kind 'clusters'; there are cluster, gradcam, activations, filters"),
        (["--kinds", "gradcam", "--class", "expresso"], "there is no class 'expresso'; near it: espresso (967)"),
        (["--kinds", "activations", "--layers", "_blocks.77"], "has no layer '_blocks.77'"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["explain", str(run), "--quiet", *arguments]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_runs_that_cannot_be_explained(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is no run folder"):
        imgcluster.explain_run(tmp_path / "nowhere")
    run = make_run()
    record = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps({**record, "status": "writing"}))
    with pytest.raises(OutputError, match="is not finished"):
        imgcluster.explain_run(run)
    record["config"]["features"]["file"] = "features.npz"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="has its features from a file: no network can be asked about them"):
        imgcluster.explain_run(run)
    record["config"]["features"]["file"] = None
    record["features"][0]["weights_sha256"] = "0" * 64
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="the weights of efficientnet_lite0 are not those of the run any more"):
        imgcluster.explain_run(run)


def test_images_that_failed_or_are_gone(make_run: MakeRun, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "some"
    write_photographs(folder)
    (folder / "0007.png").write_bytes(b"no picture")
    run = make_run(folder=folder)
    with pytest.raises(ImageError, match=r"image '0007\.png' is in no cluster: it failed: "):
        imgcluster.explain_run(run, images=["0007.png"], show=False)
    (folder / "0008.png").unlink()
    done = imgcluster.explain_run(run, images=["0008.png", "0009.png"], show=False)
    assert {picture.id for picture in done.pictures} == {"0009.png"}
    assert "image '0008.png' is left out" in caplog.text
    with pytest.raises(
        ImageError,
        match=r"the image is not there; looked in '.*some'; say where: imgcluster.images_are_in\(RUN, FOLDER\)",
    ):
        imgcluster.explain_run(run, images=["0008.png"], show=False)
    assert {picture["id"] for picture in listed(run)} == {"0009.png"}


def test_noise_is_pulled_nowhere(run: Path) -> None:
    opened = ExplainedRun(run)
    opened.images[0] = replace(opened.images[0], cluster=-1)
    request = run_explanation._Request(opened, opened.images[:1], (), None, False)
    with pytest.raises(ClusteringError, match=r"image '0000.png' is noise: in no cluster"):
        run_explanation.KINDS["cluster"](request, None)  # type: ignore[arg-type]


def test_after_a_fallback_it_is_the_network_that_was_taken(make_run: MakeRun) -> None:
    run = make_run("features.backbone=vgg16", "features.fallback=efficientnet_lite0", "features.preprocess=stage")
    done = imgcluster.explain_run(run, images=["0001.png"], show=False)
    assert done.networks == ["efficientnet_lite0 _swish_1, a 7 x 7 grid"]


def test_a_network_that_is_used_in_place_of_another_too_keeps_its_own_layer(make_run: MakeRun) -> None:
    both = ["features.backbone=[vgg16, efficientnet_lite0]", "features.layer={efficientnet_lite0: _blocks.3}"]
    run = make_run(*both, "features.fallback=efficientnet_lite0", "outputs.report=false")
    (choice,) = ExplainedRun(run).choices
    assert (choice.backbone.name, choice.layers) == ("efficientnet_lite0", ("_blocks.3",))


@pytest.mark.parametrize(
    ("overrides", "networks"),
    [
        (["features.layer=[_blocks.3, avgpool]"], ["efficientnet_lite0 _blocks.3._bn2, a 28 x 28 grid"]),
        pytest.param(
            ["features.backbone=[efficientnet_lite0, squeezenet1_1]", "features.block_l2=true", "features.views=flip"],
            ["efficientnet_lite0 _swish_1, a 7 x 7 grid", "squeezenet1_1 features.12.cat, a 13 x 13 grid"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["features.views=whole", "clusters.n_clusters=1"],
            ["efficientnet_lite0 _swish_1, a 7 x 7 grid"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_joined_features_and_views(make_run: MakeRun, overrides: list[str], networks: list[str]) -> None:
    joined = "squeezenet1_1" in networks[-1]
    run = make_run(*overrides, *(["features.weights=random"] if joined else []))
    done = imgcluster.explain_run(run, images=["0001.png"], show=False)
    assert done.networks == networks
    assert done.is_random is joined
    assert len(done.pictures) == (1 if "clusters.n_clusters=1" in overrides else 2)
    opened = ExplainedRun(run)
    image = opened.images[1]
    point = opened.forward([read_image(image.path)]).points[0].detach()
    assert float((point - opened._centroids[image.cluster]).norm()) == pytest.approx(image.distance, rel=1e-3)
    assert imgcluster.cluster_map(opened, "0001.png").max() == 1


def test_random_weights_are_allowed_and_said(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    block = "features.layer=features.6"  # what it ends with
    run = make_run("features.backbone=squeezenet1_1", "features.weights=random", block)
    assert main(["explain", str(run), "--cluster", "0", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "RANDOM    the weights are random" in told
    assert "squeezenet1_1 features.6.cat, a 27 x 27 grid" in told
