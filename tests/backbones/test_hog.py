"""Histograms of oriented gradients: their values, and a backbone without weights through the whole program."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import imgcluster
from imgcluster import FeatureExtractor, extract
from imgcluster.backbones import (
    Runtime,
    are_here,
    build_runtime,
    choose_backbones,
    find_backbone,
    find_weights,
    get_weights,
    list_layers,
    list_models,
    list_weights,
    missing_weights,
    pack_weights,
    place_of,
    plan_for,
)
from imgcluster.backbones.hog import CELLS, FAINT, FLAT, GREY, ORIENTATIONS, SUM, OrientedGradients
from imgcluster.cli.main import main
from imgcluster.config import BACKBONES, FORMULAS, FeaturesConfig, config_from_dict, features_from_dict
from imgcluster.errors import ConfigError, WeightsError
from imgcluster.features import extract_features
from imgcluster.images import walk_images
from imgcluster.learning.training.finetune import unfreeze
from tests.conftest import write_pictures

SIDE = 64


def noise(seed: int, side: int = SIDE) -> np.ndarray:
    """A picture of patches and noise, (side, side, 3) uint8: strong edges, weak ones and flat places."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 236, (8, 8, 3)).repeat(side // 8, axis=0).repeat(side // 8, axis=1)
    speckled = random.integers(0, 20, patches.shape) * (random.random(patches.shape[:1]) < 0.5)[:, None, None]
    return np.asarray(patches + speckled, np.uint8)


def reference(picture: np.ndarray) -> np.ndarray:
    """Compute the histograms by angles, pixel by pixel and cell by cell, in float64."""
    grey = picture.astype(np.float64) / 255 @ np.array(GREY)
    framed = np.pad(grey, 1, mode="edge")
    across, down = framed[1:-1, 2:] - framed[1:-1, :-2], framed[2:, 1:-1] - framed[:-2, 1:-1]
    angle, length = np.degrees(np.arctan2(down, across)) % 180, np.hypot(across, down)
    width, size = 180 / ORIENTATIONS, len(picture) // CELLS
    cells = np.zeros((ORIENTATIONS, CELLS, CELLS))
    for (row, column), value in np.ndenumerate(length):
        first = int(angle[row, column] // width) % ORIENTATIONS
        past = np.radians(angle[row, column] % width)
        shares = np.sin(np.radians(width) - past), np.sin(past)
        for share, number in zip(shares, (first, (first + 1) % ORIENTATIONS), strict=True):
            cells[number, row // size, column // size] += value * share / np.sin(np.radians(width)) / size**2
    squares = np.square(cells).sum(axis=0)
    around = np.array(
        [
            [squares[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].mean() for column in range(CELLS)]
            for row in range(CELLS)
        ]
    )
    values = (cells / np.sqrt(around + FLAT)).ravel()
    return np.asarray(values * SUM / (values.sum() + FAINT))


def hog(picture: np.ndarray, **keys: str) -> np.ndarray:
    """Return the vector of a picture, (576,)."""
    return np.asarray(extract(picture, "hog", **keys)[0])  # type: ignore[arg-type]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture(params=["torch", "openvino"])
def built(request: pytest.FixtureRequest) -> Runtime:
    """The network on a runtime of the CPU, for four pictures at a time."""
    if request.param == "openvino":
        pytest.importorskip("openvino", reason="openvino is not installed")
    config = features_from_dict({"backbone": "hog", "runtime": request.param, "device": "cpu", "batch_size": 4})
    (choice,) = choose_backbones(config, progress=False)
    runtime = build_runtime(choice, plan_for(choice, config))
    assert runtime.name == request.param
    return runtime


# ---- values


@pytest.mark.parametrize("side", [SIDE, 128])
def test_values_are_those_of_a_computation_by_angles(side: int) -> None:
    picture = noise(0, side)
    found = OrientedGradients()(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    np.testing.assert_allclose(found[0], reference(picture), rtol=0, atol=1e-5)


def test_runtimes_agree_with_it(built: Runtime) -> None:
    pictures = [noise(seed) for seed in range(4)]
    (found,) = built(np.stack(pictures)[:, None])
    np.testing.assert_allclose(found, [reference(picture) for picture in pictures], rtol=0, atol=1e-4)


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_an_edge_votes_for_its_orientation(orientation: int) -> None:
    angle = np.pi * orientation / ORIENTATIONS
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    waves = 128 + 120 * np.sin(0.4 * (columns * np.cos(angle) + rows * np.sin(angle)))
    values = hog(waves[..., None].repeat(3, axis=2).astype(np.uint8)).reshape(ORIENTATIONS, -1).sum(axis=1)
    assert values.argmax() == orientation
    assert values[orientation] > 0.6 * values.sum()


def test_brightness_contrast_and_which_side_is_light_hardly_matter() -> None:
    picture = noise(1).astype(np.int64) // 2 + 40
    plain = hog(picture.astype(np.uint8))
    for changed in (picture + 60, 40 + (picture - 40) * 3 // 2, 255 - picture):
        assert cosine(hog(changed.astype(np.uint8)), plain) > 0.995
    assert cosine(hog(noise(2)), plain) < 0.9


def test_the_sum_stands_in_one_relation_to_other_networks() -> None:
    for seed in range(3):
        assert hog(noise(seed)).sum() == pytest.approx(SUM, rel=0.02)


def test_a_picture_of_one_colour_gives_zeros(built: Runtime) -> None:
    colours = np.array([[0, 0, 0], [1, 1, 1], [200, 10, 127], [255, 255, 255]], np.uint8)
    (found,) = built(np.tile(colours[:, None, None, None], (1, 1, SIDE, SIDE, 1)))
    assert not found.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3000, 2)])
def test_pictures_of_any_shape(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for views in ("center", "whole", "ten_crops"):
        assert np.isfinite(hog(picture, views=views)).all()


def test_the_input_may_have_any_side() -> None:
    assert extract(noise(0), "hog", preprocess=[{"squash": 100}]).shape == (1, 576)
    assert extract(noise(0), "hog", preprocess="stage").shape == (1, 576)


# ---- a backbone without weights


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", range(6))
    return tmp_path / "pictures"


def test_it_is_the_only_one_without_weights() -> None:
    row = BACKBONES["hog"]
    assert FORMULAS == ("hog",)
    assert [name for name, each in BACKBONES.items() if not each.has_weights] == ["hog"]
    assert are_here(row)
    assert place_of(row) is None


def test_pretrained_and_random_are_the_same() -> None:
    row = find_backbone("hog")
    pretrained, random = (find_weights(row, spec, download=False) for spec in ("imagenet", "random"))
    assert pretrained == random == find_weights(row, pretrained.source)
    assert (pretrained.source, pretrained.path, pretrained.sha256) == ("none", None, row.weights)
    np.testing.assert_array_equal(extract(noise(0), "hog", weights="random"), extract(noise(0), "hog"))


def test_a_file_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"my\.pth: hog has no weights; remove features\.weights"):
        choose_backbones(features_from_dict({"backbone": "hog", "weights": str(tmp_path / "my.pth")}))


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_it_is_always_computed_in_fp32(precision: str) -> None:
    config = features_from_dict({"backbone": ["hog", "efficientnet_lite0"], "precision": precision, "device": "cpu"})
    own, network = (plan_for(choice, config) for choice in choose_backbones(config, progress=False))
    assert (own.precision, own.exact, own.is_open) == ("fp32", 0, False)
    assert network.precision == "bf16" or precision != "bf16"


def test_int8_is_for_networks(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="nncf is not installed")
    keys = {"backbone": "hog", "store": str(tmp_path / "store"), "device": "cpu"}
    found, plain = (
        extract_features(walk_images(pictures), features_from_dict({**keys, **more}), show=False)
        for more in ({"precision": "int8"}, {})
    )
    assert found.origins[0].precision == "fp32"
    assert (plain.origins[0].computed, plain.origins[0].reused) == (0, 6)


def test_its_layers_are_steps_without_classes() -> None:
    layers = list_layers(find_backbone("hog"))
    assert (layers[-1].name, layers[-1].shape) == ("flatten", [ORIENTATIONS * CELLS**2])
    assert not {"logits", "predictions"} & {alias for layer in layers for alias in layer.aliases}
    with pytest.raises(ConfigError, match="hog has no layer 'logits'"):
        extract(noise(0), "hog", layers="logits")
    with FeatureExtractor("hog") as extractor:
        pixels = torch.from_numpy(noise(0)).permute(2, 0, 1)[None].float() / 255
        np.testing.assert_allclose(extractor(pixels)["flatten"][0], reference(noise(0)), atol=1e-5)


def test_there_is_nothing_to_train() -> None:
    with pytest.raises(ConfigError, match="unfreeze: hog has no weights that could learn"):
        unfreeze(OrientedGradients(), None, ["flatten"], "hog")


def test_lists_know_that_there_is_nothing_to_download(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (row,) = list_models("hog")
    assert (row.source, row.dim, row.px, row.megabytes, row.here) == ("imgcluster", 576, 64, 0.0, True)
    assert get_weights("hog").state == "not needed"
    assert [(each.name, each.state) for each in list_weights("hog")] == [("hog", "not needed")]
    assert "hog" not in [each.name for each in list_weights()]
    with pytest.raises(ConfigError, match="hog has no weights: there is nothing to pack"):
        pack_weights(tmp_path / "w.zip", ["hog"], show=False)
    assert missing_weights(features_from_dict({"backbone": "hog", "download": "never"})) == []
    assert main(["weights", "list", "hog"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["hog", "0", "not", "needed", "Apache-2.0"]


def test_a_store_gets_it_beside_a_network(pictures: Path, tmp_path: Path) -> None:
    images = walk_images(pictures)

    def features_with(*backbones: str) -> list[tuple[str, int, int]]:
        keys = {"backbone": backbones, "store": str(tmp_path / "store"), "weights": "random", "views": "whole"}
        origins = extract_features(images, features_from_dict(keys), show=False).origins
        return [(origin.backbone, origin.computed, origin.reused) for origin in origins]

    network = "efficientnet_lite0"
    assert features_with(network) == [(network, 6, 0)]
    assert features_with(network, "hog") == [(network, 0, 6), ("hog", 6, 0)]
    assert features_with("hog") == [("hog", 0, 6)]


def test_another_version_has_a_store_of_its_own(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = features_from_dict({"backbone": "hog", "store": str(tmp_path / "store")})
    images = walk_images(pictures)
    assert extract_features(images, config, show=False).origins[0].computed == 6
    monkeypatch.setitem(BACKBONES, "hog", replace(BACKBONES["hog"], weights="hog-2"))
    assert extract_features(images, config, show=False).origins[0].computed == 6


def test_several_processes_give_the_same(pictures: Path, tmp_path: Path) -> None:
    one, two = (
        extract_features(
            walk_images(pictures),
            FeaturesConfig(backbone="hog", store=str(tmp_path / str(len(device))), device=device),
            show=False,
        )
        for device in (("cpu",), ("cpu", "cpu"))
    )
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert two.origins[0].device == "cpu, 1 threads + cpu, 1 threads"


# ---- whole runs


@pytest.fixture
def run_offline(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run a config in a fresh cache on a machine without a network."""

    def refuse(*address: object, **keys: object) -> None:
        raise AssertionError(f"asked {address}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    for name in ("IMGCLUSTER_CACHE", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def run(*backbones: str) -> Path:
        folder = tmp_path / "-".join(backbones)
        config = {
            "images": {"folder": str(pictures)},
            "features": {"backbone": list(backbones), "views": "whole", "store": str(tmp_path / "store")},
            "clusters": {"n_clusters": 3},
            "outputs": {"folder": str(folder), "submission": None},
        }
        imgcluster.check(config_from_dict(config))
        imgcluster.run(config_from_dict(config), show=False)
        return folder

    return run


def test_a_run_alone_needs_no_network_access(run_offline: Callable[..., Path]) -> None:
    folder = run_offline("hog")
    (origin,) = json.loads((folder / "run.json").read_bytes())["features"]
    assert (origin["weights"], origin["weights_file"], origin["weights_sha256"]) == ("none", None, "hog-1")
    report = json.loads((folder / "report" / "report.json").read_bytes())
    assert report["names"] == {}
    done = imgcluster.explain_run(folder, images=["0000.jpg"], show=False)
    assert done.networks == ["hog mul_1, a 8 x 8 grid"]


def test_names_are_those_of_the_network_beside_it(run_offline: Callable[..., Path]) -> None:
    first, last = (
        json.loads((run_offline(*names) / "report" / "report.json").read_bytes())
        for names in (("hog", "efficientnet_lite0"), ("efficientnet_lite0", "hog"))
    )
    assert first["names"] == last["names"]
    assert sorted(first["unsure"]) == sorted(last["unsure"])
