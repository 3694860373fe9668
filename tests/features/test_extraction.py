"""Features: the published recipe step by step, what the store saves, and what becomes of images that fail."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import transforms

from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.runtimes import devices as hardware
from imgcluster.backbones.runtimes import plan as execution
from imgcluster.backbones.runtimes import plan as execution_module
from imgcluster.backbones.runtimes.openvino_runtime import OpenVinoRuntime
from imgcluster.backbones.runtimes.plan import plan_for
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime
from imgcluster.backbones.select import choose_backbones
from imgcluster.backbones.weights.load import RANDOM_SEED
from imgcluster.config.loader import FeaturesConfig
from imgcluster.config.reading import Reading
from imgcluster.errors import ConfigError, ImageError, StoreError, WeightsUnavailable
from imgcluster.features import extraction as features_module
from imgcluster.features.engines import local as work_module
from imgcluster.features.extraction import check_readable, extract_features
from imgcluster.features.result import Features
from imgcluster.features.store.backend import LocalFiles
from imgcluster.features.transforms import unit_length
from imgcluster.images.decode import Picture, read_image
from imgcluster.images.listing import walk_images
from imgcluster.images.preprocess import prepare
from imgcluster.types import ImageFile
from tests import ROOT
from tests.conftest import write_picture, write_pictures

FRAMES = ROOT / "data/stage/test"


def lite0(store: Path, **keys: object) -> FeaturesConfig:
    return FeaturesConfig(backbone="efficientnet_lite0", store=store, **{"batch_size": 4, "precision": "fp32", **keys})


def extracted(folder: Path, config: FeaturesConfig, **keys: object) -> Features:
    return extract_features(walk_images(folder), config, show=False, **keys)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def vgg16() -> torchvision.models.VGG:
    """VGG16 as `weights: random` makes it, and with no ReLU in place, so that every layer's output stays as it was."""
    torch.manual_seed(RANDOM_SEED)
    model = torchvision.models.vgg16(weights=None).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    return model


@pytest.fixture(scope="module")
def vgg16_file(vgg16: torchvision.models.VGG, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file(vgg16.state_dict(), path)
    yield path
    path.unlink()  # half a gigabyte


def published_stage_features(model: torchvision.models.VGG, paths: list[Path]) -> np.ndarray:
    """The task's own steps, one image at a time, as its winners published them."""
    steps = transforms.Compose([transforms.CenterCrop(512), transforms.Resize(448), transforms.ToTensor()])
    vectors = []
    for path in paths:
        bgr = cv2.imread(str(path))
        batch = steps(Image.fromarray(bgr)).unsqueeze(0)
        with torch.no_grad():
            x = model.features(batch)
            x = torch.flatten(model.avgpool(x), 1)
            vectors.append(model.classifier[0](x).numpy()[0])
    return np.stack(vectors)


@pytest.mark.slow
def test_stage_recipe_equals_the_published_steps(tmp_path: Path, vgg16: torchvision.models.VGG) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for frame in ("0000.jpg", "0120.jpg"):
        shutil.copy(FRAMES / frame, folder)
    smaller = cv2.resize(cv2.imread(str(FRAMES / "0060.jpg")), (301, 400))  # padded by the recipe
    cv2.imwrite(str(folder / "small.png"), smaller)
    config = FeaturesConfig(
        weights="random", preprocess="stage", precision="fp32", runtime="torch", batch_size=2, store=tmp_path / "s"
    )
    found = extracted(folder, config)
    assert found.vectors.shape == (3, 4096)
    assert found.vectors.min() < 0  # before the ReLU
    wanted = published_stage_features(vgg16, [image.path for image in found.images])
    np.testing.assert_allclose(found.vectors, wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_backbone_recipe_equals_torchvisions_own_transform(
    tmp_path: Path, pictures: Path, vgg16: torchvision.models.VGG, vgg16_file: Path
) -> None:
    config = FeaturesConfig(weights=vgg16_file, precision="fp32", runtime="torch", batch_size=4, store=tmp_path / "s")
    paths = walk_images(pictures)[:2]
    found = extract_features(paths, config, show=False).vectors
    transform = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    with torch.no_grad():
        batch = torch.stack([transform(Image.open(image.path).convert("RGB")) for image in paths])
        wanted = vgg16.classifier[0](torch.flatten(vgg16.avgpool(vgg16.features(batch)), 1)).numpy()
    assert cosine(found, wanted).min() > 0.9999  # Pillow and OpenCV decode a JPEG to pixels that differ by one or two


@pytest.mark.parametrize("layer", ["fc6", "relu6", "fc7", "relu5_3", "pool3", "avgpool", "conv1_1", "features.28"])
def test_layers_by_name_equal_a_forward_pass_by_hand(
    layer: str, vgg16: torchvision.models.VGG, vgg16_file: Path
) -> None:
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    extractor = build_extractor(choose_backbones(FeaturesConfig(weights=vgg16_file, layer=layer))[0])
    last = {"relu5_3": 29, "pool3": 16, "conv1_1": 0, "features.28": 28}.get(layer, 30)
    with torch.no_grad():
        (found,) = extractor(pixels)
        wanted = vgg16.features[: last + 1](pixels)
        if last == 30:
            wanted = vgg16.avgpool(wanted)
        if layer in ("fc6", "relu6", "fc7"):
            wanted = vgg16.classifier[: {"fc6": 1, "relu6": 2, "fc7": 4}[layer]](torch.flatten(wanted, 1))
    torch.testing.assert_close(found, wanted.mean((2, 3)) if wanted.ndim == 4 else wanted, rtol=0, atol=1e-6)


def test_a_wrong_layer_gets_the_nearest_names(vgg16_file: Path) -> None:
    config = FeaturesConfig(weights=vgg16_file, layer="relu5_4")
    with pytest.raises(ConfigError, match=r"features.layer: vgg16 has no layer 'relu5_4'; near it: relu5_3"):
        build_extractor(choose_backbones(config)[0])


def test_the_embedded_default_tells_pictures_apart(tmp_path: Path, pictures: Path) -> None:
    found = extracted(pictures, lite0(tmp_path / "s")).vectors
    assert found.shape == (12, 1280)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    likeness = unit @ unit.T
    same = np.equal.outer(np.arange(12) % 3, np.arange(12) % 3)
    assert likeness[same].min() > likeness[~same].max()


def test_rows_depend_neither_on_neighbours_nor_on_failures(tmp_path: Path, pictures: Path) -> None:
    whole = extracted(pictures, lite0(tmp_path / "a"))
    (pictures / "0001b.jpg").write_text("not an image")
    (pictures / "0004.jpg").unlink()
    other = extracted(pictures, lite0(tmp_path / "b"))
    assert [failure.image.id for failure in other.failures] == ["0001b.jpg"]
    kept = [row for row, id in enumerate(whole.ids) if id != "0004.jpg"]
    assert other.ids == [whole.ids[row] for row in kept]
    np.testing.assert_array_equal(other.vectors, whole.vectors[kept])


def test_a_second_run_builds_no_network(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extracted(pictures, lite0(tmp_path / "s"))
    assert (first.origins[0].computed, first.origins[0].reused) == (12, 0)
    monkeypatch.setattr(features_module, "build_runtime", lambda *_: pytest.fail("a network was built"))
    second = extracted(pictures, lite0(tmp_path / "s"))
    assert (second.origins[0].computed, second.origins[0].reused) == (0, 12)
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_added_images_cost_only_themselves(tmp_path: Path, pictures: Path) -> None:
    extracted(pictures, lite0(tmp_path / "s"))
    write_pictures(pictures, range(12, 15))
    origin = extracted(pictures, lite0(tmp_path / "s")).origins[0]
    assert (origin.computed, origin.reused) == (3, 12)


def test_moved_images_are_read_but_not_computed(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extracted(pictures, lite0(tmp_path / "s"))
    monkeypatch.setattr(OpenVinoRuntime, "start", lambda self, pixels: pytest.fail("computed"))
    moved = pictures.rename(tmp_path / "moved")
    found = extracted(moved, lite0(tmp_path / "s"))
    assert (found.origins[0].computed, found.origins[0].reused) == (0, 12)
    np.testing.assert_array_equal(found.vectors, first.vectors)


def test_a_changed_image_is_done_again_even_with_its_old_times(tmp_path: Path, pictures: Path) -> None:
    path = pictures / "0000.bmp"
    write_picture(path, np.full((8, 8, 3), 10, np.uint8))
    before, first = path.stat(), extracted(pictures, lite0(tmp_path / "s"))
    write_picture(path, np.full((8, 8, 3), 200, np.uint8))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = extracted(pictures, lite0(tmp_path / "s"))
    assert second.origins[0].computed == 1
    row = second.ids.index("0000.bmp")
    assert not np.allclose(first.vectors[row], second.vectors[row])


@pytest.mark.parametrize(
    "change", [{"layer": "logits"}, {"preprocess": "stage"}, {"precision": "bf16"}, {"weights": "random"}]
)
def test_whatever_shapes_a_feature_makes_another_store(tmp_path: Path, pictures: Path, change: dict[str, str]) -> None:
    images = walk_images(pictures)[:3]
    first = extract_features(images, lite0(tmp_path / "s"), show=False)
    second = extract_features(images, lite0(tmp_path / "s", **change), show=False)
    assert second.origins[0].computed == 3
    assert second.origins[0].fingerprint != first.origins[0].fingerprint


@pytest.mark.parametrize("change", [{"bands": (3, 2, 1)}, {"range": (0.0, 128.0)}, {"color": "raw"}])
def test_how_images_are_read_makes_another_store(tmp_path: Path, pictures: Path, change: dict[str, Any]) -> None:
    images, config = walk_images(pictures)[:3], lite0(tmp_path / "s")
    first = extract_features(images, config.read_as(Reading()), show=False).origins[0]
    assert first.fingerprint == extract_features(images, config, show=False).origins[0].fingerprint
    second = extract_features(images, config.read_as(Reading(**change)), show=False).origins[0]
    assert second.computed == 3
    shaped_by = json.loads((Path(second.stores[0]) / "meta.json").read_text())["shaped_by"]
    assert shaped_by["preprocess"]["reading"] == json.loads(json.dumps(change))
    whole = json.loads((Path(first.stores[0]) / "meta.json").read_text())["shaped_by"]
    assert {**shaped_by, "preprocess": whole["preprocess"]} == whole


def test_the_network_sees_the_bands_that_are_asked_for(tmp_path: Path, pictures: Path) -> None:
    images, config = walk_images(pictures)[:3], lite0(tmp_path / "s")
    swapped = extract_features(images, config.read_as(Reading(bands=(3, 2, 1))), show=False).vectors
    for image in images:
        pixels = read_image(Path(str(image.path)))
        Image.fromarray(np.ascontiguousarray(pixels[..., ::-1])).save(tmp_path / f"{image.id}.png")
    whole = extract_features(
        [ImageFile(f"{each.id}", tmp_path / f"{each.id}.png") for each in images], config, show=False
    )
    np.testing.assert_allclose(swapped, whole.vectors, atol=2e-2)


def test_the_store_says_what_shaped_it(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = walk_images(pictures)[:2]
    first = extract_features(images, lite0(tmp_path / "s"), show=False).origins[0]
    shaped_by = json.loads((Path(first.stores[0]) / "meta.json").read_text())["shaped_by"]
    assert {key: shaped_by[key] for key in ("layer", "pooling", "precision", "runtime", "reading")} == {
        "layer": "avgpool",
        "pooling": "auto",
        "precision": "fp32",
        "runtime": "openvino",
        "reading": execution.RULES,
    }
    assert shaped_by["preprocess"]["steps"] == [["resize", 256], ["center_crop", 224]]
    monkeypatch.setattr(execution, "RULES", 99)
    assert extract_features(images, lite0(tmp_path / "s"), show=False).origins[0].computed == 2


def test_images_that_share_an_id_keep_their_own_vectors(tmp_path: Path, pictures: Path) -> None:
    paths = sorted(pictures.iterdir())
    found = extract_features((ImageFile("same", path) for path in paths[:2]), lite0(tmp_path / "s"), show=False)
    wanted = extract_features([ImageFile(path.name, path) for path in paths[:2]], lite0(tmp_path / "s"), show=False)
    np.testing.assert_array_equal(found.vectors, wanted.vectors)
    assert not np.array_equal(found.vectors[0], found.vectors[1])


def test_a_layer_that_is_not_there_is_told_before_any_download(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(ConfigError, match="vgg16 has no layer 'fc99'; near it: fc8, fc7, fc6"):
        extracted(pictures, FeaturesConfig(layer="fc99", store=tmp_path / "s"))  # and no fallback hides it
    with pytest.raises(ConfigError, match="'size' is not a layer but a step between two"):
        extracted(pictures, lite0(tmp_path / "s", layer="size"))


OUT_OF_MEMORY = (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3"))


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["of Python", "of torch"])
def test_an_image_that_memory_cannot_hold_is_a_failure(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    decode = work_module.decode_picture

    def short_of_memory(data: bytes, least: int | None, reading: Reading) -> Picture:
        if data == (pictures / "0002.jpg").read_bytes():
            raise error
        return decode(data, least, reading)

    monkeypatch.setattr(work_module, "decode_picture", short_of_memory)
    (failure,) = extracted(pictures, lite0(tmp_path / "s")).failures
    assert (failure.image.id, failure.reason) == ("0002.jpg", "does not fit into memory")


@pytest.mark.parametrize("runtime", ["openvino", pytest.param("torch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", [10**10, 10**30])
def test_a_batch_that_memory_cannot_hold_is_told(tmp_path: Path, pictures: Path, size: int, runtime: str) -> None:
    with pytest.raises(ConfigError, match=rf"features.batch_size: {size:,} images do not fit into memory"):
        extracted(pictures, lite0(tmp_path / "s", batch_size=size, runtime=runtime))


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["of Python", "of torch"])
def test_a_network_that_memory_cannot_hold_is_told(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def short_of_memory(*_: object) -> None:
        raise error

    monkeypatch.setitem(execution_module.RUNTIMES, "torch", short_of_memory)
    with pytest.raises(ConfigError, match="pictures of 224 x 224 do not fit into memory in efficientnet_lite0"):
        extracted(pictures, lite0(tmp_path / "s", runtime="torch"))


def test_a_disk_that_fills_leaves_a_store_that_goes_on(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracted(pictures, lite0(tmp_path / "another"))  # what is remembered of the network is written here
    with monkeypatch.context() as patch:
        fsync, calls = os.fsync, []

        def full_after_a_while(number: int) -> None:
            calls.append(number)
            if len(calls) > 12:
                raise OSError(28, "No space left on device")
            fsync(number)

        patch.setattr(os, "fsync", full_after_a_while)
        patch.setattr(LocalFiles, "seconds_between_writes", 0)
        with pytest.raises(StoreError, match=r"features.store: '.*': No space left on device"):
            extracted(pictures, lite0(tmp_path / "s"))
    origin = extracted(pictures, lite0(tmp_path / "s")).origins[0]
    assert (origin.computed, origin.reused) == (4, 8)


def test_batch_size_and_device_make_no_other_store(tmp_path: Path, pictures: Path) -> None:
    extracted(pictures, lite0(tmp_path / "s"))
    origin = extracted(pictures, lite0(tmp_path / "s", batch_size="auto", device="cpu")).origins[0]
    assert origin.reused == 12


def test_features_that_are_not_finite_are_failures(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = TorchRuntime.start

    def spoilt(self: TorchRuntime, pixels: np.ndarray) -> Callable[[], list[np.ndarray]]:
        (rows,) = start(self, pixels)()
        rows = rows.copy()
        rows[1, 7] = np.nan
        return lambda: [rows]

    monkeypatch.setattr(TorchRuntime, "start", spoilt)
    found = extracted(pictures, lite0(tmp_path / "s", runtime="torch"))
    assert [failure.image.id for failure in found.failures] == ["0001.jpg", "0005.jpg", "0009.jpg"]
    assert {failure.reason for failure in found.failures} == {"its features are not finite (NaN or infinity)"}
    assert np.isfinite(found.vectors).all()


def test_on_error_stop_names_the_image(tmp_path: Path, pictures: Path) -> None:
    (pictures / "0003.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"0003.jpg': the file is empty \(images.on_error is stop\)"):
        extracted(pictures, lite0(tmp_path / "s"), on_error="stop")


def test_without_weights_the_fallback_is_taken_loudly(
    tmp_path: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = FeaturesConfig(layer="fc7", preprocess="stage", store=tmp_path / "s")
    found = extracted(pictures, config)
    assert found.origins[0].backbone == "efficientnet_lite0"
    assert found.origins[0].fallback["wanted"] == "vgg16"
    assert found.vectors.shape == (12, 1280)
    assert "FALLBACK: vgg16 weights are not available; using efficientnet_lite0" in caplog.text


def test_without_a_fallback_the_run_stops_and_says_what_to_fetch(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(WeightsUnavailable) as raised:
        extracted(pictures, FeaturesConfig(fallback=None, store=tmp_path / "s"))
    message = str(raised.value)
    wanted = Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth"
    assert f"put it at {wanted}" in message
    assert "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0" in message
    assert "\n" not in message


@pytest.mark.slow
def test_vgg16_weights_from_a_path_give_4096_columns(tmp_path: Path, pictures: Path, vgg16_file: Path) -> None:
    config = FeaturesConfig(weights=vgg16_file, store=tmp_path / "s", batch_size=2, precision="fp32")
    images = walk_images(pictures)[:2]
    found = extract_features(images, config, show=False)
    assert found.vectors.shape == (2, 4096)
    assert (found.origins[0].backbone, found.origins[0].weights_file) == ("vgg16", str(vgg16_file))
    (stored,) = Path(found.origins[0].stores[0]).glob("vectors-*.npy")
    assert np.load(stored).shape == (2, 4096)
    random = extract_features(images, config.model_copy(update={"weights": "random"}), show=False)
    np.testing.assert_array_equal(found.vectors, random.vectors)


def test_precision_and_device_that_are_not_here_are_refused(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        extracted(pictures, lite0(tmp_path / "s", device="cpu", precision="fp16"))
    with pytest.raises(ConfigError, match=r"features.device: (no )?'cuda:256'"):
        extracted(pictures, lite0(tmp_path / "s", device="cuda:256"))  # torch itself would take cuda:0


@pytest.mark.slow
def test_bf16_stays_close_to_fp32_where_auto_may_take_it(tmp_path: Path, vgg16_file: Path) -> None:
    images = [ImageFile(path.stem, path) for path in sorted(FRAMES.glob("*.jpg"))[::53]]
    config = FeaturesConfig(weights=vgg16_file, store=tmp_path / "s", batch_size=4, precision="fp32", runtime="torch")
    exact = extract_features(images, config, show=False).vectors
    quick = extract_features(images, config.model_copy(update={"precision": "bf16"}), show=False).vectors
    assert cosine(exact, quick).min() > 0.9995


def test_auto_takes_bf16_where_the_features_bear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_quick_bf16", lambda _: True)
    for backbone, runtime, precision, exact in (
        ("vgg16", "torch", "bf16", 0),
        ("vgg16", "openvino", "bf16", 0),
        ("efficientnet_lite0", "torch", "fp32", 0),
        ("efficientnet_lite0", "openvino", "bf16", 12),
        ("resnet18", "openvino", "fp32", 0),
    ):
        config = FeaturesConfig(backbone=backbone, weights="random", runtime=runtime, device="cpu")
        plan = plan_for(choose_backbones(config)[0], config)
        assert (plan.precision, plan.exact) == (precision, exact)


def numerics() -> dict[str, object]:
    """torch's settings for TF32, as far as they can be read."""
    found: dict[str, object] = {}
    for module, name, _ in hardware._tf32_settings(allowed=True):
        try:
            found[f"{id(module)}.{name}"] = getattr(module, name)
        except RuntimeError as error:
            found[f"{id(module)}.{name}"] = type(error)
    return found


@pytest.fixture
def own_numerics() -> Iterator[None]:
    """Let a test set TF32 for this process."""
    before = [(module, name, getattr(module, name)) for module, name, _ in hardware._tf32_settings(allowed=True)]
    yield
    for module, name, value in before:
        setattr(module, name, value)


def set_the_old_way(value: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = value


def set_the_new_way(value: str) -> None:
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = value


NEW_WAY = pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="came with torch 2.9")


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(
    "prepare",
    [
        lambda: None,
        lambda: set_the_old_way(True),
        lambda: set_the_old_way(False),
        pytest.param(lambda: set_the_new_way("tf32"), marks=NEW_WAY),
        pytest.param(lambda: set_the_new_way("ieee"), marks=NEW_WAY),
    ],
)
def test_tf32_is_set_for_a_while_whatever_the_program_had_set(
    own_numerics: None, prepare: Callable[[], None], allowed: bool
) -> None:
    prepare()
    before = numerics()
    with contextlib.suppress(KeyError), hardware.tf32(allowed=allowed):
        assert torch.backends.cuda.matmul.allow_tf32 is allowed
        assert torch.backends.cudnn.allow_tf32 is allowed
        if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
            precisions = {torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision}
            assert precisions == {"tf32" if allowed else "ieee"}
        raise KeyError
    after = numerics()
    readable = [name for name, value in before.items() if value is not RuntimeError]
    assert {name: after[name] for name in readable} == {name: before[name] for name in readable}


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_only_our_own_network_computes_by_our_rules_for_tf32(own_numerics: None, precision: str) -> None:
    """Somebody else's module runs by the program's settings, and these are the same afterwards."""
    seen: list[bool] = []

    class Noting(nn.Module):
        def forward(self, values: torch.Tensor) -> list[torch.Tensor]:
            seen.append(torch.backends.cudnn.allow_tf32)
            return [values.flatten(1)]

    recipe = choose_backbones(lite0(Path("unused")))[0].recipe
    pixels = np.zeros((1, 1, 8, 8, 3), np.uint8)
    for program in (True, False):
        set_the_old_way(program)
        for moved in (True, False):
            TorchRuntime(Noting(), recipe, torch.device("cpu"), precision, moved=moved)(pixels)
        assert seen[-2:] == [precision == "tf32", program]
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is program


def test_instructions_of_the_cpu_are_asked_of_every_version_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a public function, in versions without it by private ones; without those too, the answer is no."""
    monkeypatch.setenv("IMGCLUSTER_CACHE", os.devnull)  # nothing is remembered
    cpu, probes = "cpu", ("_is_vnni_supported", "_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has_all = {"avx512_vnni": True, "avx512_bf16": True, "amx_tile": True}
    for instructions in (has_all, {}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=instructions: found, raising=False)
        assert hardware.has_vnni() is hardware._quick_bf16(cpu) is bool(instructions)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    for probe in probes:
        monkeypatch.setattr(torch.cpu, probe, lambda: True, raising=False)
    assert hardware.has_vnni() is hardware._quick_bf16(cpu) is True
    for probe in probes:
        monkeypatch.delattr(torch.cpu, probe)
    assert hardware.has_vnni() is hardware._quick_bf16(cpu) is False


def test_features_of_no_image_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there are no images"):
        check_readable(extract_features([], lite0(tmp_path / "s"), show=False))


def test_memory_that_runs_out_halves_the_batch(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = extracted(pictures, lite0(tmp_path / "a", runtime="torch")).vectors
    run = TorchRuntime._run

    def small_memory(self: TorchRuntime, pixels: np.ndarray) -> list[np.ndarray]:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return run(self, pixels)

    monkeypatch.setattr(TorchRuntime, "_run", small_memory)
    found = extracted(pictures, lite0(tmp_path / "b", runtime="torch", batch_size=8)).vectors
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert caplog.text.count("memory ran out") == 2
    assert "going on with 2 images at a time instead of 4" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpus_features(tmp_path: Path, pictures: Path) -> None:
    keys = {"runtime": "torch", "preprocess": "stage"}  # whose pixels are the same on both
    on_cpu = extracted(pictures, lite0(tmp_path / "a", device="cpu", **keys)).vectors
    on_gpu = extracted(pictures, lite0(tmp_path / "b", device="cuda", **keys)).vectors
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pictures_resized_on_a_gpu_have_the_cpus_features_in_a_store_of_their_own(
    tmp_path: Path, pictures: Path
) -> None:
    on_cpu, on_gpu = (
        extracted(pictures, lite0(tmp_path / "s", device=device, runtime="torch")) for device in ("cpu", "cuda")
    )
    assert on_gpu.origins[0].computed == len(on_gpu.images)
    assert cosine(on_cpu.vectors, on_gpu.vectors).min() > 0.9999


# --- views, and several backbones ---


@pytest.mark.parametrize("views", ["flip", "whole", "five_crops", "ten_crops"])
def test_the_features_of_views_are_averaged(tmp_path: Path, pictures: Path, views: str) -> None:
    config = lite0(tmp_path / "s", views=views)
    images = walk_images(pictures)[:3]
    found = extract_features(images, config, show=False).vectors
    choice = choose_backbones(config)[0]
    network = build_extractor(choice)
    for image, vector in zip(images, found, strict=True):
        pixels = np.zeros((choice.recipe.n_views, 224, 224, 3), np.uint8)
        prepare(read_image(image.path), choice.recipe, pixels)
        with torch.no_grad():
            values = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
            (each,) = network(values)
        np.testing.assert_allclose(vector, each.mean(0), rtol=1e-4, atol=1e-5)
    assert np.abs(found - extract_features(images, lite0(tmp_path / "s"), show=False).vectors).max() > 0.01


def test_crops_of_a_recipe_without_any_are_refused(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(ConfigError, match=r"^features.views: five_crops needs .* ends with center_crop, not squash$"):
        extracted(pictures, lite0(tmp_path / "s", views="five_crops", preprocess="squash"))


def joined(store: Path, **keys: Any) -> FeaturesConfig:
    both = {
        "backbone": ("efficientnet_lite0", "squeezenet1_1"),
        "weights": "random",
        "precision": "fp32",
        "runtime": "torch",
    }
    return FeaturesConfig(batch_size=4, store=store, **{**both, **keys})


def test_backbones_are_joined_in_their_order(tmp_path: Path, pictures: Path) -> None:
    layer = {"squeezenet1_1": ("features.3", "logits")}
    config = joined(tmp_path / "s", layer=layer, block_weights=(1.0, 2.0, 3.0), block_l2=True)
    found = extracted(pictures, config)
    first, second, third = (
        unit_length(extracted(pictures, each).vectors)
        for each in (
            joined(tmp_path / "s", backbone="efficientnet_lite0"),
            joined(tmp_path / "s", backbone="squeezenet1_1", layer="features.3"),
            joined(tmp_path / "s", backbone="squeezenet1_1", layer="logits"),
        )
    )
    np.testing.assert_array_equal(found.vectors, np.concatenate([first, 2 * second, 3 * third], axis=1))
    names = [(origin.backbone, origin.layer, origin.dim) for origin in found.origins]
    assert names == [("efficientnet_lite0", "avgpool", 1280), ("squeezenet1_1", "features.3+logits", 1128)]


def test_progress_names_the_backbones_of_a_join(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract_features(walk_images(pictures), joined(tmp_path / "s"), show=True)
    begun = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines() if ": 12/12" not in line]
    assert begun == [
        "preparing efficientnet_lite0: this takes longer the first time",
        "features of efficientnet_lite0: 0/12 images",
        "preparing squeezenet1_1: this takes longer the first time",
        "features of squeezenet1_1: 0/12 images",
    ]


def test_an_image_that_fails_in_one_backbone_fails_in_all(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = walk_images(pictures)
    images[3].path.write_bytes(b"broken")
    extract_features(images, joined(tmp_path / "another"), show=False)  # both networks have been checked here
    compute = TorchRuntime._run

    def with_a_nan(runtime: TorchRuntime, pixels: np.ndarray) -> list[np.ndarray]:
        blocks = compute(runtime, pixels)
        if blocks[0].shape[1] != 1280:  # squeezenet1_1's
            blocks[0][1] = np.nan
        return blocks

    monkeypatch.setattr(TorchRuntime, "_run", with_a_nan)
    found = extract_features(images, joined(tmp_path / "s"), show=False)
    failed = [failure.image for failure in found.failures]
    assert images[3] in failed
    assert images[1] in failed
    assert found.images == [image for image in images if image not in failed]
    monkeypatch.undo()
    alone = extract_features(found.images, joined(tmp_path / "t"), show=False)
    np.testing.assert_array_equal(found.vectors, alone.vectors)


@pytest.mark.parametrize(
    "names", [("vgg16", "efficientnet_lite0"), ("efficientnet_lite0", "vgg16"), ("vgg16", "vgg19")]
)
def test_a_fallback_is_taken_once(
    tmp_path: Path, pictures: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, str]
) -> None:
    layer = {"efficientnet_lite0": "logits"} if "efficientnet_lite0" in names else None
    keys = {"layer": layer, "fallback": "efficientnet_lite0", "batch_size": 4, "store": tmp_path / "s"}
    found = extracted(pictures, FeaturesConfig(backbone=names, **keys))
    (origin,) = found.origins
    assert (origin.backbone, origin.layer) == ("efficientnet_lite0", "logits" if layer else "avgpool")
    assert origin.fallback["taken"] == "efficientnet_lite0"
    assert "FALLBACK: vgg16 weights are not available" in caplog.text


def test_wrong_layers_of_the_second_backbone_are_told_before_any_work(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(ConfigError, match=r"squeezenet1_1 has no layer 'fc6'"):
        extracted(pictures, joined(tmp_path / "s", layer={"squeezenet1_1": "fc6"}))
    assert not (tmp_path / "s").exists()
