"""Features in int8: near those of fp32, the same bits whatever the batch, calibrated once and on the same pictures."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster import extract
from imgcluster.backbones.runtimes import calibration, int8
from imgcluster.backbones.runtimes import devices as hardware
from imgcluster.backbones.runtimes import openvino_conversion as converted
from imgcluster.backbones.runtimes import plan as execution
from imgcluster.backbones.runtimes.calibration import find_calibration
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.loader import FeaturesConfig
from imgcluster.errors import ConfigError, ImageError
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Features
from imgcluster.images.listing import walk_images
from imgcluster.images.preprocess import find_recipe
from imgcluster.types import ImageFile
from imgcluster.utils import progress
from tests import ROOT
from tests.backbones.runtimes.test_openvino import SMALL_VGG, WATCHED, cosines, refuse
from tests.conftest import write_pictures

pytestmark = pytest.mark.skipif(find_spec("nncf") is None, reason='needs nncf: pip install "imgcluster[int8]"')

LITE0 = {"backbone": "efficientnet_lite0"}
CHOICE = choose_backbones(FeaturesConfig(**LITE0))[0]
RECIPE = find_recipe(({"squash": 8},), CHOICE.backbone)
TEN_FRAMES = sorted((ROOT / "data/stage/test").glob("*.jpg"))[::16]


@pytest.fixture
def frames() -> list[ImageFile]:
    return [ImageFile(path.stem, path) for path in TEN_FRAMES]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


def extracted(images: list[ImageFile], store: Path, precision: str = "int8", **keys: Any) -> Features:
    config = FeaturesConfig(**{**LITE0, "device": "cpu", **keys}, precision=precision, store=str(store))
    return extract_features(images, config, show=False)


@pytest.mark.parametrize(("keys", "least"), [(LITE0, 0.9), pytest.param(SMALL_VGG, 0.997, marks=pytest.mark.slow)])
def test_features_are_near_those_of_fp32(
    keys: dict[str, Any], least: float, frames: list[ImageFile], tmp_path: Path
) -> None:
    exact = extracted(frames, tmp_path, "fp32", **keys).vectors
    found = extracted(frames, tmp_path, **keys)
    assert (found.origins[0].precision, found.origins[0].runtime, found.origins[0].computed) == ("int8", "openvino", 10)
    assert least <= cosines(found.vectors, exact).min() < 0.99999  # what is exact has not been rounded at all


def test_batch_size_does_not_change_a_bit(frames: list[ImageFile], tmp_path: Path) -> None:
    one, three = (extracted(frames, tmp_path / str(size), batch_size=size).vectors for size in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.slow
def test_it_is_calibrated_once(
    cache: Path, frames: list[ImageFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extracted(frames, tmp_path / "one")
    monkeypatch.setattr(int8, "_quantise", lambda *_: pytest.fail("calibrated again"))
    again = extracted(frames, tmp_path / "two")
    assert again.origins[0].computed == 10
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert len(list(cache.iterdir())) == 2  # in fp32, and this


@pytest.mark.slow
def test_progress_is_told_and_nothing_else(
    cache: Path,
    frames: list[ImageFile],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", math.inf)
    config = FeaturesConfig(**LITE0, device="cpu", precision="int8", store=str(tmp_path / "s"))
    extract_features(frames, config)
    out, err = capfd.readouterr()
    assert not out
    assert [line.split(",")[0] for line in err.splitlines()] == [
        "preparing efficientnet_lite0: this takes longer the first time",
        "calibrating int8: 0/10 images",
        "calibrating int8: 10/10 images",
        "features: 0/10 images",
        "features: 10/10 images",
    ]
    assert cache.exists()


@pytest.mark.slow
def test_quiet_it_tells_nothing(
    cache: Path, frames: list[ImageFile], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    int8._import_nncf()
    extracted(frames, tmp_path)  # converted when nncf is there already, as the second of two backbones is
    assert tuple(capfd.readouterr()) == ("", "")
    assert cache.exists()


@pytest.mark.slow
def test_each_view_is_calibrated(frames: list[ImageFile], tmp_path: Path) -> None:
    recipe = find_recipe(({"squash": 8},), CHOICE.backbone, "flip")
    plain, seen = (find_calibration(frames, each, tmp_path).pixels for each in (RECIPE, recipe))
    np.testing.assert_array_equal(seen[::2], plain[::2])
    np.testing.assert_array_equal(seen[1::2], plain[1::2, :, ::-1])
    assert extracted(frames, tmp_path, views="flip").vectors.shape == (10, 1280)


# --- which pictures ---


@pytest.fixture
def many(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "many", range(60))
    return tmp_path / "many"


def digest(folder: Path, store: Path) -> str:
    return find_calibration(list(walk_images(folder)), RECIPE, store).digest


def test_forty_pictures_whatever_their_order_and_their_folder(many: Path, tmp_path: Path) -> None:
    images = list(walk_images(many))
    found = find_calibration(images, RECIPE, tmp_path / "a")
    assert found.pixels.shape == (40, 8, 8, 3)
    assert found.digest == find_calibration(images[::-1], RECIPE, tmp_path / "b").digest
    shutil.move(many, tmp_path / "moved")
    assert found.digest == digest(tmp_path / "moved", tmp_path / "c")


def test_images_that_are_added_leave_it_as_it_is(many: Path, tmp_path: Path) -> None:
    first = digest(many, tmp_path / "s")
    write_pictures(many, range(100, 160))
    assert digest(many, tmp_path / "s") == first
    assert digest(many, tmp_path / "other") != first


def test_images_that_are_removed_leave_it_as_it_is_up_to_half(many: Path, tmp_path: Path) -> None:
    first = digest(many, tmp_path / "s")
    paths = sorted(many.iterdir())
    for path in paths[:20]:
        path.unlink()
    assert digest(many, tmp_path / "s") == first
    for path in paths[20:50]:
        path.unlink()
    assert digest(many, tmp_path / "s") != first


def test_of_another_folder_it_is_another(many: Path, tmp_path: Path) -> None:
    first = digest(many, tmp_path / "s")
    write_pictures(tmp_path / "others", range(100, 160))
    assert digest(tmp_path / "others", tmp_path / "s") != first
    assert digest(many, tmp_path / "s") == first


def test_other_pictures_by_the_same_names_are_others(many: Path, tmp_path: Path) -> None:
    first = digest(many, tmp_path / "s")
    for number, path in enumerate(sorted(many.iterdir())):
        write_pictures(tmp_path / "new", range(100 + number, 101 + number))
        (tmp_path / "new" / f"{100 + number:04d}.jpg").replace(path)
    assert digest(many, tmp_path / "s") != first


def test_a_few_are_not_kept_to_when_there_are_more(many: Path, tmp_path: Path) -> None:
    images = list(walk_images(many))
    assert len(find_calibration(images[:8], RECIPE, tmp_path).pixels) == 8
    assert len(find_calibration(images, RECIPE, tmp_path).pixels) == 40


def test_for_another_input_it_is_another(many: Path, tmp_path: Path) -> None:
    images = list(walk_images(many))
    larger = find_recipe(({"squash": 9},), CHOICE.backbone)
    assert [find_calibration(images, each, tmp_path).pixels.shape[1] for each in (RECIPE, larger, RECIPE)] == [8, 9, 8]


def test_what_cannot_be_read_is_left_out(many: Path, tmp_path: Path) -> None:
    for path in sorted(many.iterdir())[:40]:
        path.write_bytes(b"no image")
    assert len(find_calibration(list(walk_images(many)), RECIPE, tmp_path).pixels) == 20


def test_none_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    words = f"int8 is calibrated on the images, and the only one cannot be read; one of them, {tmp_path / 'a.jpg'}: "
    with pytest.raises(ImageError) as error:
        extracted([ImageFile("a", tmp_path / "a.jpg")], tmp_path / "s")
    assert str(error.value) == words + "the file is empty"


def test_damaged_it_is_made_again(many: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = digest(many, tmp_path / "s")
    (path,) = (tmp_path / "s").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    assert digest(many, tmp_path / "s") == first
    assert f"{path} is damaged (BadZipFile); it is not used for calibration" in caplog.text


def about(**changes: object) -> np.ndarray:
    return np.array(json.dumps({"made_by": "", "pictures": {}, **changes}))


@pytest.mark.parametrize(
    "contents",
    [
        {},
        {"about": np.array("no JSON")},
        {"about": np.array("[]")},
        {"about": about(pictures=[])},
        {"about": about(pictures=None)},
        {"about": np.array([None])},  # an object, which would have to be unpickled
    ],
)
def test_a_file_with_other_contents_is_passed_over(contents: dict[str, Any], many: Path, tmp_path: Path) -> None:
    first = digest(many, tmp_path / "s")
    np.savez(tmp_path / "s" / "calibration-0.npz", **contents)
    assert digest(many, tmp_path / "s") == first


@pytest.mark.parametrize("step", [1, 0x80])
def test_wherever_a_file_is_damaged_no_other_error_comes(step: int, many: Path, tmp_path: Path) -> None:
    """One byte at a time, in the places that are read as numbers, names and lengths."""
    images = list(walk_images(many))[:2]
    first = find_calibration(images, RECIPE, tmp_path / "s").digest
    (path,) = (tmp_path / "s").iterdir()
    whole = path.read_bytes()
    for place in [*range(160), *range(len(whole) - 250, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ step]) + whole[place + 1 :])
        assert find_calibration(images, RECIPE, tmp_path / "s").digest == first


def test_an_error_of_ours_is_no_damage(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest(many, tmp_path / "s")
    monkeypatch.setattr(calibration, "_stamp", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        digest(many, tmp_path / "s")


def test_a_store_that_cannot_be_written_is_no_matter(many: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert digest(many, tmp_path / "file" / "s") == digest(many, tmp_path / "s")


def test_added_images_are_computed_alone(frames: list[ImageFile], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(calibration, "MAX_IMAGES", 4)
    first = extracted(frames[:8], tmp_path / "s")
    both = extracted(frames, tmp_path / "s")
    assert (both.origins[0].reused, both.origins[0].computed) == (8, 2)
    assert both.origins[0].fingerprint == first.origins[0].fingerprint
    np.testing.assert_array_equal(both.vectors[:8], first.vectors)


# --- the fingerprint ---


def shapes(pixels: int = 0, layers: tuple[str, ...] = ("avgpool",)) -> list[str]:
    config = FeaturesConfig(**LITE0, layer=layers, device="cpu", precision="int8")
    (choice,) = choose_backbones(config)
    pictures = calibration.Calibration(np.full((2, 8, 8, 3), pixels, np.uint8))
    plan = replace(execution.plan_for(choice, config), calibration=pictures)
    return [json.dumps(shape) for shape in plan.shapes(choice)]


def test_what_it_was_calibrated_with_is_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {shapes()[0], shapes(1)[0], shapes(layers=("avgpool", "logits"))[0]}
    monkeypatch.setattr(int8, "version", lambda _: "another")
    found.add(shapes()[0])
    monkeypatch.setattr(int8, "has_vnni", lambda: not hardware.has_vnni())
    found.add(shapes()[0])
    assert len(found) == 5


# --- where it cannot be had ---


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as error:
        call()
    return str(error.value)


def test_without_nncf(frames: list[ImageFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    words = 'features.precision: int8 needs the package nncf; pip install "imgcluster[int8]"'
    assert message(lambda: extracted(frames, tmp_path)) == words


def test_check_tells_it(config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from imgcluster.cli.main import main

    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    arguments = ["check", str(config_file), "--set", "features.device=cpu", "--set", "features.precision=int8"]
    assert main(arguments) == 1
    words = 'imgcluster: features.precision: int8 needs the package nncf; pip install "imgcluster[int8]"\n'
    assert capsys.readouterr().err == words


@pytest.mark.parametrize("runtime", ["torch", "torch_compile"])
def test_on_another_runtime(runtime: str, frames: list[ImageFile], tmp_path: Path) -> None:
    words = f"features.precision: int8 is computed by openvino, not {runtime}; allowed: auto, openvino"
    assert message(lambda: extracted(frames, tmp_path, runtime=runtime)) == words


@pytest.mark.parametrize("runtime", ["auto", "openvino"])
def test_on_a_gpu(runtime: str) -> None:
    words = "features.precision: int8 is computed on the CPU, not on cuda:0; set features.device: cpu"
    assert message(lambda: int8.check_int8("int8", runtime, "cuda:0")) == words
    int8.check_int8("fp32", runtime, "cuda:0")


@pytest.mark.parametrize("runtime", ["auto", "openvino"])
@pytest.mark.usefixtures("cache")
def test_what_openvino_cannot_execute(
    runtime: str, frames: list[ImageFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted, "_convert", refuse)
    words = "features.precision: int8 is computed by openvino, which cannot execute efficientnet_lite0: a step it does "
    for _ in range(2):  # remembered, too
        assert message(lambda: extracted(frames, tmp_path, runtime=runtime)) == words + "not know"


@pytest.mark.usefixtures("cache")
def test_what_nncf_cannot_do(frames: list[ImageFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no quantisable steps\nand much more")

    monkeypatch.setattr("nncf.quantize", fail)
    words = "features.precision: int8 is computed by openvino, which cannot execute efficientnet_lite0: no quantisable "
    assert message(lambda: extracted(frames, tmp_path)) == words + "steps"


def test_from_python_without_a_run() -> None:
    words = "features.precision: int8 is calibrated on the images of a run; in Python, imgcluster.run and "
    found = message(lambda: extract(TEN_FRAMES, "efficientnet_lite0", precision="int8", device="cpu"))
    assert found == words + "imgcluster.extract_features take a config with it"


# --- nothing leaves the machine ---


@pytest.mark.slow
def test_nothing_is_sent(pictures: Path, tmp_path: Path) -> None:
    places = {"images.folder": pictures, "features.store": tmp_path / "s", "outputs.folder": tmp_path / "o"}
    keys = {**places, "clusters.n_clusters": 2, "features.precision": "int8", "features.device": "cpu"}
    sets = [argument for key, value in keys.items() for argument in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "run", str(ROOT / "configs/folder.yaml"), "--quiet", *sets],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "IMGCLUSTER_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert "SENT" not in done.stdout
    assert "telemetry loaded: False" in done.stdout
    assert "int8" in (tmp_path / "o" / "run.json").read_text()
    assert done.stderr == ""
