"""Whether versions of OpenCV, Pillow and torch give the same pixels, and what becomes of a store where they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgcluster.config.backbone_table import BACKBONES
from imgcluster.config.loader import FeaturesConfig
from imgcluster.config.recipe import STAGE, Recipe, named_recipe
from imgcluster.errors import ConfigError, ImageError
from imgcluster.features.engines.dask import checks
from imgcluster.features.engines.dask.protocol import Greeting
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Origin
from imgcluster.images import pixel_check
from imgcluster.images.listing import walk_images
from imgcluster.images.pixel_check import FORMATS, REDUCED, differences, digests_of, parts_of
from tests.support.make_pixel_check import FILES, all_parts

LITE0 = BACKBONES["efficientnet_lite0"].recipe
DECODE = pixel_check.decode_image


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Forget the digests of a decoder that a test has put in the place of the real one."""
    digests_of.cache_clear()
    yield
    digests_of.cache_clear()


def reads_otherwise(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    """Make the decoder give other pixels for one format."""

    def otherwise(data: bytes, least: int | None = None) -> np.ndarray:
        pixels = DECODE(data, least)
        return pixels ^ 1 if data.startswith(beginning) else pixels

    monkeypatch.setattr(pixel_check, "decode_image", otherwise)
    monkeypatch.setattr(pixel_check, "installed", lambda package: "another version")


def test_every_picture_is_in_the_table_and_every_part_in_the_reference() -> None:
    table = json.loads(pixel_check.TABLE.read_bytes())
    assert list(table["files"]) == list(FILES)
    assert {name.partition(":")[0] for name in FILES} == set(FORMATS)
    assert set(table["reference"]) == {name for part in all_parts() for name in digests_of(part)}
    assert None not in table["reference"].values()


def test_a_recipe_meets_its_own_ways_of_resizing_alone() -> None:
    def ways(recipe: Recipe) -> list[str]:
        return [part for part in parts_of(recipe) if part not in FORMATS]

    assert ways(LITE0) == [REDUCED, "in shape, torch bilinear", "long, pillow bilinear"]
    assert ways(STAGE) == ["in shape, pillow bilinear", "long, pillow bilinear"]
    assert ways(replace(STAGE, views="whole"))[1] == "squashed, pillow bilinear"
    assert ways(named_recipe("letterbox", LITE0)) == ["in shape, torch bilinear"]
    assert ways(named_recipe("squash", LITE0)) == [REDUCED, "squashed, torch bilinear"]


def test_a_format_that_is_read_otherwise_is_named_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = differences(LITE0)
    digests_of.cache_clear()
    reads_otherwise(monkeypatch, b"GIF8")
    assert set(differences(LITE0)) - set(before) == {"gif"}


def test_pictures_that_one_version_cannot_read_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    before = differences(LITE0)
    digests_of.cache_clear()

    def refuses(data: bytes, least: int | None = None) -> np.ndarray:
        if data.startswith(b"II*"):
            raise ImageError("damaged TIFF")
        return DECODE(data, least)

    monkeypatch.setattr(pixel_check, "decode_image", refuses)
    assert {part for part in differences(LITE0) if part != "tiff"} == {part for part in before if part != "tiff"}
    assert "tiff" not in differences(LITE0)


def test_a_reading_of_its_own_has_a_store_of_its_own(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def origin() -> Origin:
        config = FeaturesConfig(backbone="efficientnet_lite0", store=str(tmp_path / "s"), batch_size=4)
        return extract_features(walk_images(pictures)[:2], config, show=False).origins[0]

    first = origin()
    digests_of.cache_clear()
    reads_otherwise(monkeypatch, b"\xff\xd8")
    second = origin()
    assert (second.computed, second.reused) == (2, 0)
    assert second.fingerprint != first.fingerprint
    shaped_by = json.loads((Path(second.stores[0]) / "meta.json").read_text())["shaped_by"]
    assert {"jpeg", REDUCED} <= set(shaped_by["pixels"])
    monkeypatch.undo()
    digests_of.cache_clear()
    assert (origin().computed, origin().fingerprint) == (0, first.fingerprint)


def test_workers_that_read_otherwise_are_refused_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcluster.backbones.runtimes.plan import plan_for
    from imgcluster.backbones.select import choose_backbones

    config = FeaturesConfig(backbone="efficientnet_lite0")
    (choice,) = choose_backbones(config, progress=False)
    plan = plan_for(choice, config)
    versions = dict.fromkeys(checks.PACKAGES, "1.0")
    found = {
        "tcp://a": Greeting("", versions, plan=plan, shapes=plan.shapes(choice)),
        "tcp://b": Greeting("", {**versions, "pillow": "2.0"}, plan=replace(plan, pixels={"gif": "0"}), shapes=[]),
    }
    monkeypatch.setattr(checks, "greetings", lambda cluster, job: found)
    with pytest.raises(ConfigError) as raised:
        checks.plan_of_all(None, None)  # type: ignore[arg-type]
    assert str(raised.value) == (
        "engine: the workers read or resize images into different pixels: tcp://a has opencv-python 1.0, pillow 1.0, "
        "torch 1.0, tcp://b opencv-python 1.0, pillow 2.0, torch 1.0; install the same versions on all of them"
    )
