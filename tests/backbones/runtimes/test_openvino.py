"""OpenVINO against torch: the same features, whatever the batch; what it cannot do falls to torch; nothing is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b1

from imgcluster import extract
from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.runtimes import check_pictures, openvino_package, openvino_runtime
from imgcluster.backbones.runtimes import openvino_conversion as converted
from imgcluster.backbones.runtimes import plan as execution
from imgcluster.backbones.runtimes.openvino_package import Unsupported
from imgcluster.backbones.runtimes.openvino_runtime import OpenVinoRuntime
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime, scaled
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.fields import BUNDLED
from imgcluster.config.loader import FeaturesConfig
from imgcluster.config.recipe import Recipe
from imgcluster.datasets import photos
from imgcluster.datasets.registry import write_sample
from imgcluster.errors import ConfigError
from imgcluster.features.engines import multiprocess as worker
from imgcluster.features.engines.dask import worker as jobs
from imgcluster.features.engines.dask.protocol import Job
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Features
from imgcluster.images.decode import read_image
from imgcluster.images.listing import walk_images
from imgcluster.images.preprocess import prepare
from tests import ROOT
from tests.conftest import write_pictures

FRAMES = sorted((ROOT / "data/stage/test").glob("*.jpg"))[::10]
SMALL_VGG = {"backbone": "vgg16", "weights": "random", "preprocess": [{"squash": 64}, {"normalize": "imagenet"}]}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", range(7))
    return tmp_path / "pictures"


def extracted(folder: Path, store: Path, **keys: Any) -> Features:
    config = FeaturesConfig(**{"backbone": "efficientnet_lite0", "precision": "fp32", **keys}, store=str(store))
    return extract_features(walk_images(folder), config, show=False)


def runtimes(precision: str, batch_size: int = 4, **keys: Any) -> tuple[OpenVinoRuntime, TorchRuntime, np.ndarray]:
    """Both runtimes, and the stage frames as their pixels."""
    config = FeaturesConfig(**keys, device="cpu", runtime="openvino", precision=precision, batch_size=batch_size)
    choice = choose_backbones(config)[0]
    network = build_extractor(choice)
    ours = execution.build_runtime(choice, execution.plan_for(choice, config))
    assert isinstance(ours, OpenVinoRuntime)
    side = choice.recipe.side
    pixels = np.zeros((len(FRAMES), choice.recipe.n_views, side, side, 3), np.uint8)
    for out, path in zip(pixels, FRAMES, strict=True):
        prepare(read_image(path), choice.recipe, out)
    return ours, TorchRuntime(network, choice.recipe, torch.device("cpu"), "fp32"), pixels


def cosines(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)


@pytest.mark.parametrize(
    ("keys", "precision", "least"),
    [
        ({"backbone": "efficientnet_lite0"}, "fp32", 0.9999),
        ({"backbone": "efficientnet_lite0", "views": "flip"}, "fp32", 0.9999),
        pytest.param(
            {"backbone": "efficientnet_lite0", "layer": ("_blocks.4.add", "avgpool", "predictions")},
            "fp32",
            0.9999,
            marks=pytest.mark.slow,
        ),
        pytest.param(SMALL_VGG, "fp32", 0.9999, marks=pytest.mark.slow),
        pytest.param(SMALL_VGG, "bf16", 0.999, marks=pytest.mark.slow),
        *(({"backbone": name}, "bf16", 0.999) for name in BUNDLED),
    ],
)
def test_features_are_torchs(keys: dict[str, Any], precision: str, least: float) -> None:
    ours, torchs, pixels = runtimes(precision, **keys)
    wanted = torchs(pixels)
    found = [ours(pixels[start : start + 4]) for start in range(0, len(pixels), 4)]
    assert len(wanted) == len(found[0]) == len(keys.get("layer", "x"))
    for layer, block in enumerate(wanted):
        together = np.concatenate([blocks[layer] for blocks in found])
        assert together.shape == block.shape
        assert cosines(together, block).min() >= least


def test_bfloat16_leaves_real_features_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "COPIES", 2)
    write_sample("photos", tmp_path / "photos")
    keys = {"backbone": "efficientnet_lite0", "device": "cpu", "store": str(tmp_path / "s")}
    images = walk_images(tmp_path / "photos" / "test")
    vectors = {
        precision: extract_features(images, FeaturesConfig(**keys, precision=precision), show=False).vectors
        for precision in ("fp32", "bf16")
    }
    assert not np.array_equal(vectors["bf16"], vectors["fp32"])
    assert cosines(vectors["bf16"], vectors["fp32"]).min() > 0.999


@pytest.mark.parametrize("pooling", ["max", "gem", "rmac", "spp", "flatten"])
def test_every_pooling_is_torchs(pooling: str) -> None:
    steps = [{"squash": 64}, {"normalize": "backbone"}]
    keys = {"backbone": "efficientnet_lite0", "layer": "_blocks.0._bn2", "preprocess": steps}
    ours, torchs, pixels = runtimes("fp32", **keys, pooling=pooling)
    np.testing.assert_allclose(ours(pixels[:4])[0], torchs(pixels[:4])[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_row_has_the_same_bits_wherever_it_stands(precision: str) -> None:
    ours, _, pixels = runtimes(precision, backbone="efficientnet_lite0")
    alone = {row: ours(np.repeat(pixels[row : row + 1], 4, axis=0))[0][0] for row in range(4)}
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 2, 0, 1]):
        for found, row in zip(ours(pixels[order])[0], order, strict=True):
            np.testing.assert_array_equal(found, alone[row])


def test_batches_in_flight_do_not_get_into_each_others_way() -> None:
    ours, _, pixels = runtimes("fp32", backbone="efficientnet_lite0")
    parts = [np.ascontiguousarray(pixels[start : start + 4]) for start in (0, 4, 8, 12)]
    wanted = [ours(part)[0] for part in parts]
    for _ in range(3):
        waiting = [ours.start(part) for part in parts[: ours.depth]]
        for result, block in zip(waiting, wanted, strict=False):
            np.testing.assert_array_equal(result()[0], block)


def test_auto_takes_it_on_the_cpu_and_says_so(pictures: Path, tmp_path: Path) -> None:
    found = extracted(pictures, tmp_path / "s", device="cpu")
    assert found.origins[0].runtime == "openvino"
    torchs = extracted(pictures, tmp_path / "s", device="cpu", runtime="torch")
    assert (torchs.origins[0].runtime, torchs.origins[0].computed) == ("torch", 7)  # its numerics are its own
    assert cosines(found.vectors, torchs.vectors).min() > 0.9999


def test_batch_size_does_not_change_a_bit(pictures: Path, tmp_path: Path) -> None:
    one, three, many = (extracted(pictures, tmp_path / str(size), batch_size=size).vectors for size in (1, 3, 50))
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one, many)


def test_without_the_package_torch_does(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_package, "is_installed", lambda: False)
    assert extracted(pictures, tmp_path / "s", device="cpu").origins[0].runtime == "torch"


# --- what it cannot execute ---


def refuse(*_: Any) -> None:
    raise Unsupported("a step it does not know")


@pytest.mark.usefixtures("cache")
def test_what_it_cannot_do_falls_to_torch_and_says_so(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(converted, "_convert", refuse)
    found = extracted(pictures, tmp_path / "s", device="cpu")
    assert found.origins[0].runtime == "torch"
    assert "openvino cannot execute efficientnet_lite0, and torch does: a step it does not know" in caplog.text
    caplog.clear()
    monkeypatch.setattr(converted, "_convert", lambda *_: pytest.fail("converted again"))
    assert extracted(pictures, tmp_path / "s", device="cpu").origins[0].reused == 7  # remembered, and not said again
    assert not caplog.text


@pytest.mark.usefixtures("cache")
def test_asked_for_by_name_it_does_not_fall(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted, "_convert", refuse)
    words = r"^features.runtime: openvino cannot execute efficientnet_lite0: a step it does not know$"
    with pytest.raises(ConfigError, match=words):
        extracted(pictures, tmp_path / "s", device="cpu", runtime="openvino")


class Branching(nn.Module):
    """Takes another way for dark pictures than for bright ones: a converter sees one of them alone."""

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [pixels.mean((2, 3)) * (1.0 if pixels.sum() <= 0 else 3.0)]


def test_results_that_differ_are_noticed() -> None:
    recipe = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0"))[0].recipe
    with pytest.raises(Unsupported, match="its results are others than torch's"):
        converted.converted(Branching, "branching", recipe)


# --- what the results are compared on ---


def calibrated(pixels: np.ndarray, path: Path) -> None:
    """Write random weights of EfficientNet-B1 whose BatchNorm has the statistics of pictures, as after a training."""
    torch.manual_seed(0)
    network = efficientnet_b1(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average
            module.reset_running_stats()
            module.train()
        else:
            module.training = False
    recipe = choose_backbones(FeaturesConfig(backbone="efficientnet_b1", weights="random"))[0].recipe
    with torch.no_grad():
        network(scaled(torch.from_numpy(pixels), recipe))
    torch.save(network.state_dict(), path)


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_network_that_makes_much_of_noise_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "COPIES", 2)
    write_sample("photos", tmp_path / "photos")
    images = walk_images(tmp_path / "photos" / "test")
    keys = {"backbone": "efficientnet_b1", "weights": str(tmp_path / "b1.pth"), "device": "cpu", "precision": "fp32"}
    recipe = choose_backbones(FeaturesConfig(backbone="efficientnet_b1", weights="random"))[0].recipe
    monkeypatch.setattr(check_pictures, "COUNT", 16)
    calibrated(check_pictures.check_pixels(check_pictures.some_of(images, recipe), recipe), tmp_path / "b1.pth")
    monkeypatch.undo()
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "cache"))
    config = FeaturesConfig(**keys, runtime="openvino", store=str(tmp_path / "s"))
    found = extract_features(images[:6], config, show=False)
    assert found.origins[0].runtime == "openvino"
    torchs = extract_features(images[:6], config.model_copy(update={"runtime": "torch"}), show=False)
    np.testing.assert_allclose(found.vectors, torchs.vectors, atol=1e-4 * np.abs(torchs.vectors).max())
    # Without pictures it is no other; by noise, it would be refused.
    choice = choose_backbones(config)[0]
    converted.converted(lambda: build_extractor(choice), "smooth", recipe)
    noise = np.random.default_rng(0).integers(0, 256, (2, recipe.side, recipe.side, 3), dtype=np.uint8)
    monkeypatch.setattr(converted, "check_pixels", lambda *_: noise)
    with pytest.raises(Unsupported, match="others than torch's"):
        converted.converted(lambda: build_extractor(choice), "noise", recipe)


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The pixels that each conversion is checked on."""
    seen: list[np.ndarray] = []

    def check(ov: Any, model: Any, network: nn.Module, recipe: Recipe, pixels: np.ndarray) -> None:
        seen.append(pixels)

    monkeypatch.setattr(converted, "_check", check)
    return seen


def own_pixels(paths: list[Path]) -> np.ndarray:
    recipe = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0"))[0].recipe
    return check_pictures.check_pixels(lambda: [read_image(path, recipe.least) for path in paths], recipe)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("spoilt", [0, 4, 7])
def test_it_is_checked_on_the_images_of_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: int
) -> None:
    seen = looked_at(monkeypatch)
    paths = sorted(pictures.iterdir())
    for path in paths[:spoilt]:
        path.write_bytes(b"no image")
    extracted(pictures, tmp_path / "s", device="cpu")
    (pixels,) = seen
    np.testing.assert_array_equal(pixels, own_pixels(paths[spoilt:][:4]))
    assert np.abs(np.diff(pixels.astype(int), axis=1)).mean() < 15  # of noise it is 85


@pytest.mark.usefixtures("cache")
def test_it_is_checked_on_pictures_in_memory(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looked_at(monkeypatch)
    paths = sorted(pictures.iterdir())
    items = [paths[0], read_image(paths[1]), np.full((50, 60, 3), 7, np.uint8), paths[2]]  # of one colour
    extract(items, backbone="efficientnet_lite0", device="cpu", precision="fp32", show=False)
    np.testing.assert_array_equal(seen[0], own_pixels(paths[:3]))


def test_processes_and_workers_of_a_cluster_check_it_on_their_images(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = walk_images(pictures)
    choice = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0"))[0]
    config = FeaturesConfig(backbone="efficientnet_lite0", device="cpu", store=str(tmp_path / "s"))
    plan = execution.plan_for(choice, config)
    seen: list[list[np.ndarray]] = []

    def build(choice: Any, plan: Any, pictures: check_pictures.Pictures) -> None:
        seen.append(list(pictures()))
        raise Unsupported("seen")

    for module in (worker, jobs):
        monkeypatch.setattr(module, "build_runtime", build)
    monkeypatch.setattr(jobs, "_take_threads", lambda: None)
    monkeypatch.setattr(jobs, "_check_places", lambda job: None)
    monkeypatch.setattr(jobs, "_with_own_device", lambda job: job.config)
    job = worker.Job(images, choice, plan, tmp_path / "s", "record", (0, 1))
    with pytest.raises(Unsupported, match="seen"):
        worker._report(job, lambda count: None)
    sent = Job("token", choice, config, tmp_path / "s", None, is_here=True, plan=plan)
    with pytest.raises(Unsupported, match="seen"):
        jobs._runtime(sent, images)
    for found in seen:
        assert len(found) == len(images)
        np.testing.assert_array_equal(found[0], read_image(images[0].path))


def test_a_refusal_holds_for_the_same_packages_and_the_same_check_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0"))[0].recipe
    with pytest.raises(Unsupported):
        converted.converted(Branching, "branching", recipe)
    (verdict,) = cache.glob("*.failed")
    told = json.loads(verdict.read_text())
    assert (told["reason"], told["checked_on"]) == ("its results are others than torch's", "pictures")
    assert told["versions"]["torch"] == version("torch")
    assert converted.has_failed("branching")
    for other in (
        "its results are others than torch's",  # as it was kept by older versions, after a look at noise
        json.dumps({**told, "checked_on": "noise"}),
        json.dumps({**told, "versions": {**told["versions"], "torch": "1.0"}}),
        "[]",
        "",
    ):
        verdict.write_text(other)
        assert not converted.has_failed("branching")
    verdict.write_text(json.dumps(told))
    monkeypatch.setattr(converted, "PACKAGES", ("torch",))
    assert not converted.has_failed("branching")


# --- the cache ---


def test_what_was_converted_is_not_converted_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, pixels = runtimes("fp32", backbone="efficientnet_lite0")
    monkeypatch.setattr(converted, "_convert", lambda *_: pytest.fail("converted again"))
    again, _, _ = runtimes("fp32", backbone="efficientnet_lite0")
    np.testing.assert_array_equal(first(pixels[:4])[0], again(pixels[:4])[0])
    (folder,) = cache.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["digests.json", "model.bin", "model.xml"]


@pytest.mark.parametrize(
    "damage", ["model.xml", *(pytest.param(damage, marks=pytest.mark.slow) for damage in ("model.bin", "both"))]
)
def test_a_damaged_cache_is_made_again(cache: Path, damage: str) -> None:
    first, _, pixels = runtimes("fp32", backbone="efficientnet_lite0")
    (folder,) = cache.iterdir()
    for path in folder.iterdir():
        if damage in (path.name, "both"):
            path.write_bytes(path.read_bytes()[:1000])
    again, _, _ = runtimes("fp32", backbone="efficientnet_lite0")
    np.testing.assert_array_equal(first(pixels[:4])[0], again(pixels[:4])[0])


SPOILT: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "altered": lambda path: path.write_bytes(path.read_bytes()[:-8] + bytes(8)),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "nested": lambda path: path.write_bytes(b"[" * 100_000),
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("file", ["model.xml", "model.bin", "digests.json"])
def test_no_other_model_is_read_than_was_written(cache: Path, file: str, spoilt: str) -> None:
    import openvino as ov
    from openvino import opset13 as operators

    pixels = operators.parameter([1, 64], np.float32)
    weights = np.arange(64, dtype=np.float32) + 0.5
    converted.into_cache(ov.Model([operators.multiply(pixels, weights)], [pixels], "small"), "key")
    assert converted.from_cache("key") is not None
    (folder,) = cache.iterdir()
    SPOILT[spoilt](folder / file)
    assert converted.from_cache("key") is None


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "file"))
    runtimes("fp32", backbone="efficientnet_lite0")


@pytest.mark.slow
def test_other_weights_are_another_model(cache: Path) -> None:
    runtimes("fp32", backbone="efficientnet_lite0")
    runtimes("fp32", backbone="efficientnet_lite0", weights="random")
    assert len(list(cache.iterdir())) == 2


def test_a_plan_says_what_shapes_the_features() -> None:
    choice = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0"))[0]
    plans = [
        execution.plan_for(choice, FeaturesConfig(backbone="efficientnet_lite0", runtime=runtime, device="cpu"))
        for runtime in ("torch", "openvino", "torch_compile")
    ]
    assert len({str(plan.shapes(choice)) for plan in plans}) == 3


@pytest.mark.slow
def test_the_cache_keeps_what_fits(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes("fp32", backbone="efficientnet_lite0")
    monkeypatch.setattr(converted, "MAX_CACHE_BYTES", 1)
    (cache / ".making-killed").mkdir()
    os.utime(cache / ".making-killed", (0, 0))
    runtimes("fp32", backbone="efficientnet_lite0", weights="random")
    assert len(list(cache.iterdir())) == 1  # what was made last stays, however large


def test_what_fails_for_want_of_memory_is_tried_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: Any) -> None:
        with openvino_package.convert_errors():
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(converted, "_convert", short)
        with pytest.raises(Unsupported):
            runtimes("fp32", backbone="efficientnet_lite0")
    assert not list(cache.parent.rglob("*.failed"))


def test_a_network_that_cannot_be_compiled_falls_to_torch(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "_settings", lambda *_: {"NO_SUCH_SETTING": "1"})
    assert extracted(pictures, tmp_path / "s", device="cpu").origins[0].runtime == "torch"


# --- nothing leaves the machine ---

WATCHED = """
import sys
def watch(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        print("SENT", event, arguments, flush=True)
        raise OSError("no network")
sys.addaudithook(watch)
from imgcluster.cli.main import main
code = main(sys.argv[1:])
print("telemetry loaded:", any(name.startswith("openvino_telemetry") for name in sys.modules))
raise SystemExit(code)
"""


@pytest.mark.slow
def test_nothing_is_sent(pictures: Path, tmp_path: Path) -> None:
    arguments = ["run", str(ROOT / "configs/folder.yaml"), "--quiet", "--set", f"images.folder={pictures}"]
    arguments += ["--set", f"features.store={tmp_path / 's'}", "--set", f"outputs.folder={tmp_path / 'o'}"]
    arguments += [
        "--set",
        "clusters.n_clusters=2",
        "--set",
        "features.runtime=openvino",
        "--set",
        "features.device=cpu",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "SENT" not in done.stdout
    assert "telemetry loaded: False" in done.stdout
