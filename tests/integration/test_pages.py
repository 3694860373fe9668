"""Pages of TIFFs through the whole pipeline: tables, store, resume, report, and the commands on a finished run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster.config import Config, config_from_dict
from imgcluster.errors import OutputError
from imgcluster.report import write_report
from tests.conftest import COLOURS, write_picture
from tests.support.tiff_pages import write_scan as write_pages

SCANS = {"a.tif": (0, 1, 2), "b.tif": (2, 0)}  # pages by their colours


def page(number: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 40, (96, 80 + 8 * number, 3))
    return (noise + COLOURS[number]).clip(0, 255).astype(np.uint8)


def write_scan(path: Path, numbers: tuple[int, ...], seed: int) -> None:
    write_pages(path, [page(number, seed + place) for place, number in enumerate(numbers)])


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder of two TIFFs of pages in three colours, and a picture in the first one."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, (name, numbers) in enumerate(SCANS.items()):
        write_scan(folder / name, numbers, 10 * seed)
    write_picture(folder / "c.png", page(0, 99))
    return folder


def config(scans: Path, pages: str = "all", **images: str) -> Config:
    home = scans.parent
    return config_from_dict(
        {
            "images": {"folder": str(scans), "pages": pages, **images},
            "features": {"backbone": "efficientnet_lite0", "batch_size": 4, "store": str(home / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3, "numbering": "first_appearance"},
            "outputs": {"folder": str(home / "out"), "report": False},
        }
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


IDS = ["a.tif#1", "a.tif#2", "a.tif#3", "b.tif#1", "b.tif#2", "c.png"]


def test_each_page_gets_a_cluster_and_a_row(scans: Path) -> None:
    run = imgcluster.run(config(scans), show=False)
    rows = table(run.folder / "clusters.csv")
    assert [row["id"] for row in rows] == IDS
    assert [row["cluster"] for row in rows] == ["0", "1", "2", "2", "0", "0"]
    assert rows[1]["path"] == f"{scans}/a.tif#2"
    assert [row["id"] for row in table(run.folder / "submission.csv")] == IDS


def test_by_default_the_first_pages_are_the_images(scans: Path) -> None:
    first = imgcluster.run(config(scans, "first"), show=False)
    assert [row["id"] for row in table(first.folder / "clusters.csv")] == ["a.tif", "b.tif", "c.png"]


def test_a_run_from_before_the_key_is_one_of_first_pages(scans: Path) -> None:
    record = imgcluster.run(config(scans, "first"), show=False).folder / "run.json"
    before = json.loads(record.read_text(encoding="utf-8"))
    del before["config"]["images"]["pages"]
    record.write_text(json.dumps(before), encoding="utf-8")
    imgcluster.run(config(scans, "first"), show=False)
    with pytest.raises(OutputError, match=r"another config \(images.pages: first there, all here\)"):
        imgcluster.run(config(scans), show=False)


def test_pages_in_the_store_are_not_computed_again(scans: Path) -> None:
    first = imgcluster.run(config(scans), show=False)
    assert first.features.origins[0].computed == 6
    write_scan(scans / "d.tif", (1, 1), 50)
    again = imgcluster.run(config(scans), show=False)
    assert (again.features.origins[0].reused, again.features.origins[0].computed) == (6, 2)
    write_scan(scans / "a.tif", (1, 0, 2, 2), 70)
    changed = imgcluster.run(config(scans), show=False)
    assert changed.features.origins[0].computed == 4
    assert not np.array_equal(changed.features.vectors[0], first.features.vectors[0])


def test_a_damaged_page_is_a_failure_of_the_run(scans: Path) -> None:
    data = (scans / "a.tif").read_bytes()
    (scans / "d.tif").write_bytes(data[:-40])
    run = imgcluster.run(config(scans), show=False)
    reasons = {failure.image.id: failure.reason for failure in run.features.failures}
    assert [id.partition("#")[0] for id in reasons] == ["d.tif"]
    assert {row["status"] for row in table(run.folder / "clusters.csv") if not row["id"].startswith("d.tif")} == {"ok"}


def test_pages_are_named_by_a_table(scans: Path) -> None:
    rows = ["b.tif#2", "a.tif#2", "c.png", "a.tif", "a.tif#3"]
    (scans.parent / "ids.csv").write_text("id\n" + "".join(f"{row}\n" for row in rows))
    run = imgcluster.run(config(scans, ids=str(scans.parent / "ids.csv"), file="{id}"), show=False)
    found = table(run.folder / "clusters.csv")
    assert [(row["id"], row["cluster"]) for row in found] == list(zip(rows, "01002", strict=True))


def test_the_report_shows_each_page_also_when_it_is_made_again(scans: Path) -> None:
    run = imgcluster.run(config(scans), show=False)
    for _ in range(2):
        write_report(run.folder, show=False)
        text = (run.folder / "report" / "index.html").read_text(encoding="utf-8")
        assert all(id in text for id in IDS)
        assert "could not be read" not in text
        assert len(list((run.folder / "report" / "t").glob("*/*.jpg"))) == 6


def test_new_pages_are_placed_into_the_clusters_of_a_run(scans: Path, tmp_path: Path) -> None:
    run = imgcluster.run(config(scans), show=False)
    (tmp_path / "new").mkdir()
    write_scan(tmp_path / "new" / "n.tif", (2, 1), 200)
    placed = imgcluster.assign(run.folder, tmp_path / "new", show=False)
    assert [image.id for image in placed.images] == ["n.tif#1", "n.tif#2"]
    assert placed.placed.labels.tolist() == [2, 1]
    named = imgcluster.assign(run.folder, [tmp_path / "new" / "n.tif#2"], show=False)
    assert named.placed.labels.tolist() == [1]


def test_pages_are_exported_as_pictures_and_taken_back(scans: Path) -> None:
    run = imgcluster.run(config(scans), show=False)
    out = scans.parent / "exported"
    with pytest.raises(OutputError, match="a page of a TIFF, and no file that can be linked or moved; use --copy"):
        imgcluster.export_folders(run.folder, out, "move")
    assert imgcluster.export_folders(run.folder, out).placed == len(IDS)
    ids = {f"{path.name.removesuffix('.png')}" for path in out.rglob("*.png")}
    assert ids >= {Path(id).name for id in IDS if "#" in id}
    assert imgcluster.undo_export(out).back == len(IDS)
    assert not out.exists()
