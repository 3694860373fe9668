"""Pictures prepared on the device against those prepared on the CPU, and batches that the network has not done yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.runtimes import batch_sizes
from imgcluster.backbones.runtimes import plan as execution
from imgcluster.backbones.runtimes.batch_sizes import auto_batch_size, batch_size_within
from imgcluster.backbones.runtimes.devices import free_memory
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.config.loader import FeaturesConfig
from imgcluster.config.recipe import STAGE, VIEWS, Recipe, named_recipe
from imgcluster.features import extraction as features_module
from imgcluster.features.arrays import run_over
from imgcluster.features.extraction import extract_features
from imgcluster.images import preprocess_gpu as on_device
from imgcluster.images.decode import read_image
from imgcluster.images.listing import walk_images
from imgcluster.images.loader import read_batches
from imgcluster.images.preprocess import prepare, resizes_here
from imgcluster.images.preprocess_gpu import GpuPreprocessor
from imgcluster.utils import system as memory
from tests import ROOT

TRAINED = BACKBONES["efficientnet_lite0"].recipe
SQUASH = named_recipe("squash", TRAINED)
PADDED = Recipe((("resize", 32), ("center_crop", 65)))
INTERPOLATIONS = ["bilinear", "bicubic"]
SIZES = [(512, 512), (480, 640), (641, 479), (100, 75), (1, 1), (25, 100), (3, 11), (256, 256), (256, 300), (301, 513)]
FRAMES = ROOT / "data" / "stage" / "test"
LONG = [(7, 1000), (2000, 20)]
SKIPPED = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, SKIPPED])]


def picture(height: int, width: int) -> np.ndarray:
    """Noise, of which every other row of blocks has no values but the least and the greatest."""
    noise = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    noise[::2] = (noise[::2] > 127) * np.uint8(255)
    return noise


def on_cpu(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    out = np.full((recipe.n_views, recipe.side, recipe.side, 3), 77, np.uint8)
    prepare(image, recipe, out)
    return out


def prepared(image: np.ndarray, recipe: Recipe, device: str, preparer: GpuPreprocessor | None = None) -> np.ndarray:
    out = torch.full((recipe.n_views, recipe.side, recipe.side, 3), 77, dtype=torch.uint8, device=device)
    (preparer or GpuPreprocessor()).prepare(image, recipe, out)
    return out.cpu().numpy()


def difference(image: np.ndarray, recipe: Recipe, device: str) -> int:
    return int(differences(image, recipe, device).max())


def check_bounds(image: np.ndarray, recipe: Recipe, device: str) -> None:
    found = differences(image, recipe, device)
    assert found.max() <= 2, (recipe, image.shape)
    assert (found > 0).mean() < 0.1, (recipe, image.shape)
    assert (found > 1).mean() < 2e-4, (recipe, image.shape)


def differences(image: np.ndarray, recipe: Recipe, device: str) -> np.ndarray:
    return np.asarray(np.abs(prepared(image, recipe, device).astype(int) - on_cpu(image, recipe)))


@pytest.fixture
def no_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What is prepared on the CPU fails, once this is called."""
    return lambda: monkeypatch.setattr(on_device, "prepare", lambda *_: pytest.fail("prepared on the CPU"))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("views", [views for views in VIEWS if views != "whole"])
def test_pixels_are_the_cpus(
    no_cpu: Callable[[], None], device: str, interpolation: str, channels: str, views: str
) -> None:
    no_cpu()
    for trained in (TRAINED, PADDED):
        recipe = replace(trained, interpolation=interpolation, channels=channels, views=views)
        for size in SIZES:
            check_bounds(picture(*size), recipe, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("views", ["center", "flip"])
def test_squashed_pixels_are_the_cpus(no_cpu: Callable[[], None], device: str, interpolation: str, views: str) -> None:
    no_cpu()
    recipe = replace(SQUASH, interpolation=interpolation, views=views, channels="bgr")
    for size in SIZES + LONG:
        check_bounds(picture(*size), recipe, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "recipe",
    [
        STAGE,
        replace(TRAINED, resampling="pillow"),
        replace(named_recipe("letterbox", TRAINED), views="flip"),
        replace(TRAINED, views="whole"),
        Recipe((("center_crop", 300), ("squash", 100))),
    ],
)
def test_other_recipes_pixels_are_the_cpus_to_the_bit(recipe: Recipe, device: str) -> None:
    assert not resizes_here(recipe)
    for size in SIZES + LONG:
        assert difference(picture(*size), recipe, device) == 0, size


@pytest.mark.parametrize("device", DEVICES)
def test_pictures_out_of_the_ordinary_are_prepared_on_the_cpu(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "_resized", lambda *_: pytest.fail("resized on the device"))
    for size in LONG:
        assert difference(picture(*size), replace(TRAINED, views="ten_crops"), device) == 0
    assert difference(picture(4, 224 * 33), SQUASH, device) == 0  # shrunk too much
    monkeypatch.setattr(on_device, "MAX_PIXELS", 100 * 75 - 1)
    assert difference(picture(100, 75), TRAINED, device) == 0


def test_a_picture_for_which_the_device_has_no_memory_is_prepared_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(on_device, "_resized", full)
    assert difference(picture(480, 640), TRAINED, "cpu") == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_photographs_pixels_are_nearly_all_the_cpus(device: str, interpolation: str) -> None:
    recipe = replace(TRAINED, interpolation=interpolation)
    for path in sorted(FRAMES.glob("*.jpg"))[::40]:
        for size in ((512, 512), (640, 480), (90, 130)):
            found = differences(cv2.resize(read_image(path), size), recipe, device)
            assert found.max() <= 1, (path, size)
            assert (found > 0).mean() < 0.01, (path, size)


@pytest.mark.parametrize("device", DEVICES)
def test_threads_do_not_get_into_each_others_way(device: str) -> None:
    preparer = GpuPreprocessor()
    images = [picture(size + 40, size) for size in range(30, 300, 3)]
    wanted = [prepared(image, TRAINED, device) for image in images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: prepared(image, TRAINED, device, preparer), images))
    for pixels, alone in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(pixels, alone)


def test_pictures_as_they_are_decoded_are_taken() -> None:
    image = picture(300, 400)
    image.flags.writeable = False
    wanted = prepared(np.ascontiguousarray(image[::-1, ::-1]), TRAINED, "cpu")
    np.testing.assert_array_equal(prepared(image[::-1, ::-1], TRAINED, "cpu"), wanted)


# --- the runtime ---


class WithTensors(TorchRuntime):
    """As on a GPU: its buffers are tensors, and the values come when an event is waited for, not before."""

    def __init__(self, *arguments: Any, **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self.depth = 2
        self.coming: list[tuple[np.ndarray, torch.Tensor]] = []
        self.waited = 0

    def buffer(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.uint8)

    def _on_host(self, block: torch.Tensor) -> np.ndarray:
        self.coming.append((np.full(block.shape, np.nan, np.float32), block))
        return self.coming[-1][0]

    def _event(self) -> Any:
        coming, self.coming = self.coming, []
        runtime = self

        class Event:
            def synchronize(self) -> None:
                runtime.waited += 1
                for host, block in coming:
                    host[:] = block.numpy()

        return Event()


def runtimes(views: str = "center") -> tuple[TorchRuntime, WithTensors]:
    choice = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0", views=views))[0]
    network = build_extractor(choice)
    torchs, ours = (kind(network, choice.recipe, torch.device("cpu"), "fp32") for kind in (TorchRuntime, WithTensors))
    assert isinstance(ours, WithTensors)
    return torchs, ours


def batch(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (3, 1, 224, 224, 3), dtype=np.uint8)


def test_tensors_and_arrays_are_the_same_to_the_network() -> None:
    torchs, _ = runtimes()
    np.testing.assert_array_equal(torchs(batch(0))[0], torchs(torch.from_numpy(batch(0)))[0])


def test_a_batch_that_is_started_is_waited_for_only_by_its_result() -> None:
    _, ours = runtimes()
    started = [ours.start(torch.from_numpy(batch(number))) for number in range(2)]
    assert ours.waited == 0
    found = [result()[0] for result in started]
    assert ours.waited == 2
    for number, block in enumerate(found):
        np.testing.assert_array_equal(block, ours(batch(number))[0])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_memory_that_runs_out_halves_a_batch_that_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, ours), run = runtimes(), TorchRuntime._run
    wanted = ours(batch(0))[0]

    def small_memory(self: TorchRuntime, pixels: Any) -> list[np.ndarray]:
        if len(pixels) > 1:
            raise torch.OutOfMemoryError
        return run(self, pixels)

    monkeypatch.setattr(TorchRuntime, "_run", small_memory)
    np.testing.assert_allclose(ours.start(torch.from_numpy(batch(0)))()[0], wanted, atol=1e-4)


def test_readers_prepare_into_tensors() -> None:
    torchs, ours = runtimes()
    images = [picture(200 + number, 240) for number in range(9)]
    batches = list(read_batches(images, lambda out, image: ours.prepare(image, TRAINED, out), TRAINED, 3, ours))
    assert all(isinstance(each.pixels, torch.Tensor) for each in batches)
    wanted, found = (run_over(images, runtime, TRAINED, 2)[0] for runtime in (torchs, ours))
    assert cosines(wanted, found).min() > 0.99999
    assert np.abs(wanted - found).max() > 0  # resized by other arithmetic


def test_a_run_takes_tensors(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def extracted(runtime: TorchRuntime, store: str) -> np.ndarray:
        monkeypatch.setattr(features_module, "build_runtime", lambda *_: runtime)
        config = FeaturesConfig(backbone="efficientnet_lite0", batch_size=2, store=tmp_path / store)
        return extract_features(walk_images(pictures), config, show=False).vectors

    torchs, ours = runtimes()
    wanted = extracted(torchs, "a")
    assert cosines(wanted, extracted(ours, "b")).min() > 0.99999
    assert ours.waited == 6


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


@pytest.mark.gpu
@SKIPPED
def test_a_gpus_batches_in_flight_do_not_get_into_each_others_way() -> None:
    choice = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0"))[0]
    ours = TorchRuntime(build_extractor(choice), choice.recipe, torch.device("cuda"), "fp32")
    assert ours.depth == 2
    images = [picture(200 + number, 240) for number in range(40)]
    alone = np.concatenate([run_over([image], ours, TRAINED, 4)[0] for image in images])
    for _ in range(5):
        np.testing.assert_array_equal(run_over(images, ours, TRAINED, 4)[0], alone)


# --- what shapes features, and the size of a batch ---


@pytest.mark.parametrize(
    ("preprocess", "runtime", "device", "told"),
    [
        ("backbone", "torch", "cuda", True),
        ("squash", "torch_compile", "cuda", True),
        ("stage", "torch", "cuda", False),
        ("letterbox", "torch", "cuda", False),
        ("backbone", "torch", "cpu", False),
        ("backbone", "openvino", "cpu", False),
    ],
)
def test_features_say_where_pictures_were_resized(preprocess: str, runtime: str, device: str, told: bool) -> None:
    choice = choose_backbones(FeaturesConfig(backbone="efficientnet_lite0", preprocess=preprocess))[0]
    (shaped_by,) = execution.Plan(device, runtime, "fp32", 4).shapes(choice)
    assert set(shaped_by) - set(choice.shaped_by()[0]) == {"precision", "runtime", "reading"} | (
        {"resizing"} if told else set()
    )


def test_a_batch_is_halved_until_it_fits_into_half_of_the_memory() -> None:
    recipe = Recipe((("squash", 448),))
    image = 448 * 448 * 64 * 3 * 4
    assert batch_size_within(2 * 64 * image, 64, recipe, "fp32") == 64
    assert batch_size_within(2 * 64 * image - 2, 64, recipe, "fp32") == 32
    assert batch_size_within(2 * 64 * image - 2, 64, recipe, "bf16") == 64
    assert batch_size_within(2 * 10 * image, 64, recipe, "fp32") == 8
    assert batch_size_within(2 * 10 * image, 64, replace(recipe, views="flip"), "fp32") == 4
    assert batch_size_within(0, 25, recipe, "fp32") == 1


@pytest.mark.parametrize(("free", "size"), [(None, 16), (2**40, 16), (0, 1)])
def test_a_batch_is_as_large_as_free_memory_allows(
    monkeypatch: pytest.MonkeyPatch, free: int | None, size: int
) -> None:
    monkeypatch.setattr(batch_sizes, "free_memory", lambda _: free)
    assert auto_batch_size("cpu", TRAINED, "fp32") == size


def test_free_memory_is_what_the_system_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpu, told = "cpu", tmp_path / "meminfo"
    monkeypatch.setattr(memory, "MEMORY", told)
    told.write_text("MemTotal:       24000000 kB\nMemFree:          900000 kB\nMemAvailable:   12000000 kB\n")
    assert free_memory(cpu) == 12_000_000 * 1024
    told.unlink()
    monkeypatch.setattr(memory.os, "sysconf", {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert free_memory(cpu) == 7 * 4096
    monkeypatch.delattr(memory.os, "sysconf")
    assert free_memory(cpu) is None
