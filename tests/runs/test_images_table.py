"""images.csv: a row for every image of a run, with what clusters.csv, the report and the measures say of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster.config.loader import load_config
from imgcluster.errors import OutputError
from imgcluster.images import MEASURES
from imgcluster.runs import ImageScores, write_images_table
from imgcluster.runs.images_table import COLUMNS


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(config_file: Path, pictures: Path) -> imgcluster.Run:
    """A run with a report, of twelve pictures: one failed, two are the same."""
    (pictures / "0005.jpg").write_bytes(b"no image")
    (pictures / "0004.jpg").write_bytes((pictures / "0007.jpg").read_bytes())
    overrides = ["outputs.report=true", "outputs.names={0: r, 1: g, 2: b}"]
    return imgcluster.run(load_config(config_file, overrides), show=False)


def test_there_is_a_row_for_each_image_in_the_order_of_the_run(run: imgcluster.Run) -> None:
    found, clusters = rows(run.folder / "images.csv"), rows(run.folder / "clusters.csv")
    assert [*found[0]] == [*COLUMNS]
    assert [row["id"] for row in found] == [f"{number:04d}" for number in range(12)]
    for name in ("id", "path", "status", "error", "cluster", "name", "distance"):
        assert [row[name] for row in found] == [row[name] for row in clusters]
    failed = found[5]
    assert (failed["status"], failed["error"]) == ("failed", clusters[5]["error"])
    assert {value for name, value in failed.items() if name not in ("id", "path", "status", "error")} == {""}


def test_what_the_report_and_the_measures_say_is_there(run: imgcluster.Run, pictures: Path) -> None:
    found = rows(run.folder / "images.csv")
    fine = [row for row in found if row["status"] == "ok"]
    for row, cluster in zip(
        fine, (row for row in rows(run.folder / "clusters.csv") if row["status"] == "ok"), strict=True
    ):
        own, other = float(cluster["distance"]), float(cluster["runner_up_distance"])
        assert float(row["margin"]) == pytest.approx(1 - own / other, abs=1e-5)
        assert (row["width"], row["height"], row["format"]) == ("48", "40", "JPEG")
        assert int(row["bytes"]) == (pictures / f"{row['id']}.jpg").stat().st_size
        assert -1 <= float(row["silhouette"]) <= 1
        assert float(row["outlier_score"]) >= 0
        assert all(row[name] for name in set(MEASURES) - {"sharpness"})
    same = [found[4], found[7]]
    assert same[0]["near_duplicate_group"] == same[1]["near_duplicate_group"] != ""


def test_groups_of_near_duplicates_are_numbered_and_no_copy_is_called_the_best(config_file: Path) -> None:
    done = imgcluster.run(load_config(config_file), show=False)
    write_images_table(done, ImageScores(np.full(12, np.nan), np.full(12, np.nan), [[0, 1, 2], [3, 4]]))
    found = rows(done.folder / "images.csv")
    assert [row["near_duplicate_group"] for row in found[:6]] == ["1", "1", "1", "2", "2", ""]
    assert not {"best_copy", "duplicate_group"} & {*found[0]}


def test_without_a_report_its_columns_are_empty(tmp_path: Path, config_file: Path) -> None:
    imgcluster.run(load_config(config_file), show=False)
    for row in rows(tmp_path / "out" / "images.csv"):
        assert row["silhouette"] == row["outlier_score"] == row["near_duplicate_group"] == ""
        assert row["information"] != ""


def test_one_cluster_has_no_margin_and_features_of_a_file_no_measures(tmp_path: Path, config_file: Path) -> None:
    done = imgcluster.run(load_config(config_file, ["clusters.n_clusters=1"]), show=False)
    assert {row["margin"] for row in rows(done.folder / "images.csv")} == {""}
    vectors = {"ids": np.array(done.features.ids), "vectors": done.features.vectors}
    np.savez(tmp_path / "f.npz", **vectors)
    config = load_config(config_file, [f"features={{file: '{tmp_path / 'f.npz'}'}}"])
    done = imgcluster.run(config, force=True, show=False)
    found = rows(done.folder / "images.csv")
    assert {row["width"] for row in found} == {""} != {row["margin"] for row in found}


def test_parquet_has_the_same_and_one_of_both_is_there(tmp_path: Path, config_file: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    overrides = ["outputs.report=true"]
    imgcluster.run(load_config(config_file, overrides), show=False)
    wanted = rows(tmp_path / "out" / "images.csv")
    imgcluster.run(load_config(config_file, [*overrides, "outputs.images=parquet"]), show=False)
    assert not (tmp_path / "out" / "images.csv").exists()
    table = parquet.read_table(tmp_path / "out" / "images.parquet")
    assert {name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)} == {
        name: kind.replace("float64", "double") for name, kind in COLUMNS.items()
    }
    for row, found in zip(wanted, table.to_pylist(), strict=True):
        for name, value in found.items():
            if value is None:
                assert row[name] == ""
            elif COLUMNS[name] == "float64":
                assert float(row[name]) == pytest.approx(value, rel=1e-3, abs=1e-4)
            else:
                assert row[name] == str(value)
    imgcluster.run(load_config(config_file, overrides), show=False)
    assert sorted(path.name for path in (tmp_path / "out").glob("images.*")) == ["images.csv"]


def test_odd_ids_survive(tmp_path: Path, config_file: Path, pictures: Path) -> None:
    names = ['a,"b".jpg', "=1+2.jpg", "two\nlines.jpg", "é.jpg"]
    for number, name in enumerate(names):
        (pictures / f"{number:04d}.jpg").rename(pictures / name)
    done = imgcluster.run(load_config(config_file, ["images.ids=null"]), show=False)
    found = [row["id"] for row in rows(done.folder / "images.csv")]
    assert found == [row["id"] for row in rows(done.folder / "clusters.csv")]
    assert set(names) < set(found)


def test_a_table_that_cannot_be_written_does_not_undo_the_run(
    run: imgcluster.Run, config_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run.folder / "images.csv").unlink()
    (run.folder / "images.csv").mkdir()
    with pytest.raises(OutputError, match=r"images\.csv' cannot be written"):
        write_images_table(run, None)


def test_a_damaged_store_of_measures_leaves_their_columns_empty(
    run: imgcluster.Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (meta,) = (tmp_path / "store").glob("pixels-*/meta.json")
    meta.write_bytes(b"{")
    write_images_table(run, None)
    assert {row["width"] for row in rows(run.folder / "images.csv")} == {""}
    assert "the table of images has no measures: " in caplog.text


def test_many_images_are_written_some_at_a_time(run: imgcluster.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (run.folder / "images.csv").read_bytes()
    scores = None
    write_images_table(run, scores)
    once = (run.folder / "images.csv").read_bytes()
    monkeypatch.setattr("imgcluster.runs.images_table.ROWS_AT_A_TIME", 5)
    write_images_table(replace(run), scores)
    assert (run.folder / "images.csv").read_bytes() == once != whole
