"""What was noted of images as they were read: in outputs, on a second run, and in stores of earlier versions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgcluster import pipeline
from imgcluster.cli.format.run import summarize_run
from imgcluster.config.loader import FeaturesConfig, load_config
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Features
from imgcluster.images.listing import walk_images
from tests.conftest import write_pictures
from tests.features.store.test_store import forget_marks
from tests.support.formats.profiles import profile, wide_profile

CROSS = np.zeros((40, 60), np.uint8)
CROSS[16:24], CROSS[:, 26:34] = 255, 255


def drawing(path: Path, colour: int) -> None:
    """A cross on transparency."""
    Image.merge("LA", (Image.new("L", (60, 40), colour), Image.fromarray(CROSS))).convert("RGBA").save(path, "PNG")


def blank(path: Path, colour: int) -> None:
    Image.new("RGB", (40, 40), (colour,) * 3).save(path)


def extracted(folder: Path, store: Path, **keys: Any) -> Features:
    config = FeaturesConfig(backbone="efficientnet_lite0", store=str(store), batch_size=4, precision="fp32", **keys)
    return extract_features(walk_images(folder), config, show=False)


def computed(features: Features) -> int:
    return features.origins[0].computed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures of which two are blank."""
    write_pictures(tmp_path / "p", range(4))
    blank(tmp_path / "p" / "black.jpg", 0)
    blank(tmp_path / "p" / "white.png", 255)
    return tmp_path / "p"


NOTE = "2 of 6 images are of one colour as read: nothing to tell them apart by"


def noted(features: Features) -> list[str]:
    return [image.id for image in features.remarks]


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("cpu", id="one process"),
        pytest.param(("cpu", "cpu"), id="two processes", marks=pytest.mark.slow),
    ],
)
def test_blank_images_are_noted_on_every_run(folder: Path, tmp_path: Path, device: Any) -> None:
    for expected in (6, 0):
        found = extracted(folder, tmp_path / "s", device=device)
        assert (computed(found), noted(found), found.notes) == (expected, ["black.jpg", "white.png"], [NOTE])


def test_a_blank_image_that_was_moved_stays_noted(folder: Path, tmp_path: Path) -> None:
    extracted(folder, tmp_path / "s")
    (folder / "black.jpg").rename(folder / "0009.jpg")
    for _ in range(2):
        found = extracted(folder, tmp_path / "s")
        assert (computed(found), noted(found)) == (0, ["0009.jpg", "white.png"])


@pytest.mark.slow
def test_blank_images_are_noted_by_the_workers_of_a_cluster(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    for expected in (6, 0):
        config = tmp_path / "c.yaml"
        config.write_text(
            f"images: {{folder: '{folder}'}}\n"
            f"features: {{backbone: efficientnet_lite0, batch_size: 4, store: '{tmp_path / 's'}'}}\n"
            f"clusters: {{method: kmeans, n_clusters: 2}}\n"
            f"outputs: {{folder: '{tmp_path / 'out'}', report: false}}\n"
            "engine: {dask: {workers: 1}}\n"
        )
        run = pipeline.run(load_config(config), show=False)
        assert (computed(run.features), run.features.notes) == (expected, [NOTE])


def table(out: Path) -> list[dict[str, str]]:
    with (out / "clusters.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def config_of(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(
        f"images: {{folder: '{folder}'}}\n"
        f"features: {{backbone: efficientnet_lite0, batch_size: 4, store: '{tmp_path / 's'}'}}\n"
        f"clusters: {{method: kmeans, n_clusters: 2}}\n"
        f"outputs: {{folder: '{tmp_path / 'out'}', report: false}}\n"
    )
    return path


def test_outputs_and_summary_say_which_images_are_blank(folder: Path, tmp_path: Path) -> None:
    found = pipeline.run(load_config(config_of(folder, tmp_path)), show=False)
    rows = {row["id"]: row for row in table(tmp_path / "out")}
    assert list(rows["black.jpg"])[-3:] == ["status", "error", "note"]
    assert {id: row["note"] for id, row in rows.items() if row["note"]} == {
        "black.jpg": "of one colour as read",
        "white.png": "of one colour as read",
    }
    assert {(row["status"], row["error"]) for row in rows.values()} == {("ok", "")}
    assert NOTE in json.loads((tmp_path / "out" / "run.json").read_text())["notes"]
    assert f"note: {NOTE}" in summarize_run(found).splitlines()


def test_without_a_note_the_table_has_the_columns_it_always_had(folder: Path, tmp_path: Path) -> None:
    (folder / "black.jpg").unlink()
    (folder / "white.png").unlink()
    pipeline.run(load_config(config_of(folder, tmp_path)), show=False)
    first = (tmp_path / "out" / "clusters.csv").read_text().splitlines()[0]
    assert first == "id,path,cluster,distance,runner_up,runner_up_distance,status,error"


# --- stores of versions that noted nothing, and laid all over white ---


def older(features: Features) -> Path:
    store = Path(features.origins[0].stores[0])
    forget_marks(store)
    return store


def test_opaque_images_of_an_older_store_are_not_even_read(folder: Path, tmp_path: Path) -> None:
    first = extracted(folder, tmp_path / "s")
    store = older(first)
    files = {path.name: path.read_bytes() for path in store.glob("*-*")}
    second = extracted(folder, tmp_path / "s")
    assert (computed(second), noted(second)) == (0, [])
    assert {path.name: path.read_bytes() for path in store.glob("*-*")} == files
    np.testing.assert_array_equal(second.vectors, first.vectors)


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("cpu", id="one process"),
        pytest.param(("cpu", "cpu"), id="two processes", marks=pytest.mark.slow),
    ],
)
def test_only_what_is_read_otherwise_is_computed_again(tmp_path: Path, device: Any) -> None:
    folder = tmp_path / "p"
    write_pictures(folder, range(2))
    for name, colour in (("black.png", 0), ("white.png", 255), ("white, as if a JPEG.jpg", 255)):
        drawing(folder / name, colour)
    right = extracted(folder, tmp_path / "s")
    store = older(right)
    spoil_vectors(store)  # as if over white: of another reading, at any rate
    second = extracted(folder, tmp_path / "s", device=device)
    white = [id.startswith("white") for id in second.ids]
    kept = [not each for each in white] if device == "cpu" else [id.endswith("0.jpg") for id in second.ids]
    assert computed(second) == (2 if device == "cpu" else 3)  # a process of its own does not look for black.png
    np.testing.assert_allclose(second.vectors[white], right.vectors[white], atol=1e-5)
    np.testing.assert_array_equal(second.vectors[kept], right.vectors[kept] + 1)
    third = extracted(folder, tmp_path / "s", device=device)
    assert computed(third) == 0
    np.testing.assert_array_equal(third.vectors, second.vectors)


def spoil_vectors(store: Path) -> None:
    """Make vectors of an older store known from those that are computed now."""
    for path in store.glob("vectors-*.npy"):
        np.save(path, np.load(path) + np.float32(1))


# --- stores of versions that took the stored samples for what a file means ---


def forget_that_headers_were_asked(features: Features) -> Path:
    """Make a store as versions wrote it that noted one colour and transparency alone, with other vectors."""
    store = Path(features.origins[0].stores[0])
    for path in store.glob("index-*.json"):
        index = json.loads(path.read_text())
        del index["more_marks"], index["crc32"]
        path.write_text(json.dumps(index))
    spoil_vectors(store)
    return store


def test_what_headers_change_is_computed_again_and_all_else_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    write_pictures(folder, range(2))
    plain = Image.open(folder / "0000.jpg").convert("RGB")
    plain.save(folder / "plain.png")
    plain.save(folder / "plain.tif")
    plain.save(folder / "wide.jpg", icc_profile=wide_profile())
    plain.save(folder / "srgb.jpg", icc_profile=profile("sRGB"))
    drawing(folder / "clear.png", 0)
    Image.fromarray(np.asarray(plain.convert("L")).astype(np.uint16) * 16).save(folder / "twelve bits.png")
    right = extracted(folder, tmp_path / "s")
    forget_that_headers_were_asked(right)
    second = extracted(folder, tmp_path / "s")
    changed = [id in ("wide.jpg", "twelve bits.png") for id in second.ids]
    assert computed(second) == sum(changed) == 2
    np.testing.assert_allclose(second.vectors[changed], right.vectors[changed], atol=1e-5)
    kept = ~np.array(changed)
    np.testing.assert_array_equal(second.vectors[kept], right.vectors[kept] + 1)
    third = extracted(folder, tmp_path / "s")
    assert computed(third) == 0
    np.testing.assert_array_equal(third.vectors, second.vectors)


def test_plain_images_of_an_older_store_are_known_by_their_headers(folder: Path, tmp_path: Path) -> None:
    store = forget_that_headers_were_asked(extracted(folder, tmp_path / "s"))
    files = {path.name: path.read_bytes() for path in store.glob("*-*")}
    second = extracted(folder, tmp_path / "s")
    assert (computed(second), noted(second)) == (0, ["black.jpg", "white.png"])
    assert {path.name: path.read_bytes() for path in store.glob("*-*")} == files


def test_earlier_versions_can_read_what_is_noted_now(folder: Path, tmp_path: Path) -> None:
    store = Path(extracted(folder, tmp_path / "s").origins[0].stores[0])
    marks = [json.loads(path.read_text())["marks"] for path in store.glob("index-*.json")]
    assert {int(mark) for text in marks for mark in text} <= set(range(8))
