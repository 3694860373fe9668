"""Features as files: what leaves a run loads with plain libraries, by the line that is printed, and comes back in."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet
from safetensors import safe_open

import imgcluster
from imgcluster.cli.commands.features import compute_features
from imgcluster.cli.main import main
from imgcluster.config.loader import Config, config_from_dict
from imgcluster.errors import ConfigError, ImageError, OutputError, StoreError
from imgcluster.features.file_formats import READERS
from imgcluster.features.files import read_features
from imgcluster.runs.features import FORMATS, FeatureTable, export_features, features_of_run, loader, write_features
from tests.conftest import Command, write_picture, write_pictures


def config(root: Path, out: str = "out", **features: Any) -> Config:
    return config_from_dict(
        {
            "images": {"folder": str(root / "pictures")},
            "features": {
                "backbone": "efficientnet_lite0",
                "batch_size": 4,
                "precision": "fp32",
                "store": str(root / "store"),
                **features,
            },
            "clusters": {"n_clusters": 3},
            "outputs": {"folder": str(root / out)},
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Six pictures, one more that is damaged, and a run of them in `out`."""
    root = tmp_path_factory.mktemp("exports")
    write_pictures(root / "pictures", range(6))
    (root / "pictures" / "0001b.jpg").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGCLUSTER_CACHE", str(root / "cache"))
        imgcluster.run(config(root), show=False)
        yield root


@pytest.fixture(scope="module")
def run(root: Path) -> imgcluster.Run:
    return imgcluster.run(config(root), show=False)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """The same in a folder of its own, to be spoilt: the store's vectors belong to the copies of the pictures."""
    shutil.copytree(root / "pictures", tmp_path / "pictures")
    shutil.copytree(root / "store", tmp_path / "store")
    imgcluster.run(config(tmp_path), show=False)
    return tmp_path


def plain_npz(out: Path) -> tuple[list[str], np.ndarray]:
    with np.load(out, allow_pickle=False) as arrays:
        return arrays["ids"].tolist(), arrays["vectors"]


def plain_npy(out: Path) -> tuple[list[str], np.ndarray]:
    beside = pd.read_csv(out.with_suffix(".csv"), dtype=str)
    assert list(beside) == ["id", "path"]
    return beside["id"].tolist(), np.load(out, allow_pickle=False)


def plain_parquet(out: Path) -> tuple[list[str], np.ndarray]:
    table = parquet.read_table(out)
    assert table.column_names == ["id", "path", "vector"]
    return table["id"].to_pylist(), np.array(table["vector"].to_pylist(), np.float32)


def plain_csv(out: Path) -> tuple[list[str], np.ndarray]:
    table = pd.read_csv(out, dtype={"id": str})
    assert list(table)[:2] == ["id", "f0000"]
    return table["id"].tolist(), table.iloc[:, 1:].to_numpy(np.float32)


def plain_safetensors(out: Path) -> tuple[list[str], np.ndarray]:
    with safe_open(out, framework="numpy") as file:
        return json.loads(file.metadata()["ids"]), file.get_tensor("vectors")


def plain_pkl(out: Path) -> tuple[list[str], np.ndarray]:
    vectors = pickle.loads(out.read_bytes())  # noqa: S301
    assert type(vectors) is dict
    assert all(type(path) is str and vector.ndim == 1 for path, vector in vectors.items())
    return [Path(path).name for path in vectors], np.stack(list(vectors.values()))


PLAIN = {
    "npz": plain_npz,
    "npy": plain_npy,
    "parquet": plain_parquet,
    "csv": plain_csv,
    "safetensors": plain_safetensors,
    "pkl": plain_pkl,
}


def test_every_format_is_tested_and_comes_back_in_but_pickle() -> None:
    assert list(PLAIN) == list(FORMATS)
    assert {f".{format}" for format in FORMATS} - {".pkl"} == set(READERS)


@pytest.mark.parametrize("format", FORMATS)
def test_loads_with_plain_libraries(root: Path, run: imgcluster.Run, tmp_path: Path, format: str) -> None:
    out = tmp_path / "new" / f"features.{format}"
    table = export_features(root / "out", format, out)
    ids, vectors = PLAIN[format](out)
    assert ids == table.ids == run.features.ids
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, run.features.vectors)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("format", FORMATS)
def test_the_printed_line_loads_it(root: Path, run: imgcluster.Run, tmp_path: Path, format: str) -> None:
    out = tmp_path / f"it's {{odd}}.{format}"
    export_features(root / "out", format, out)
    line = loader(format, out)
    assert "\n" not in line
    found: dict[str, Any] = {}
    exec(line, found)  # noqa: S102
    if format == "pkl":
        paths = [str(image.path) for image in run.features.images]
        assert list(found["vectors"]) == paths
        np.testing.assert_array_equal(np.stack(list(found["vectors"].values())), run.features.vectors)
    else:
        assert list(found["ids"]) == run.features.ids
        np.testing.assert_array_equal(found["vectors"], run.features.vectors)


@pytest.mark.parametrize("ending", READERS)
def test_comes_back_in_to_the_same_clusters(root: Path, tmp_path: Path, ending: str) -> None:
    shutil.copytree(root / "pictures", tmp_path / "pictures")
    (tmp_path / "pictures" / "0001b.jpg").unlink()
    out = tmp_path / f"features{ending}"
    export_features(root / "out", ending[1:], out)
    imgcluster.run(config(tmp_path, file=str(out), backbone="vgg16", fallback=None), show=False)
    columns = ["id", "cluster", "distance", "runner_up", "runner_up_distance"]
    theirs, ours = (pd.read_csv(folder / "out" / "clusters.csv", dtype=str) for folder in (root, tmp_path))
    pd.testing.assert_frame_equal(ours[columns], theirs[theirs["status"] == "ok"][columns].reset_index(drop=True))
    assert not (tmp_path / "store").exists()
    again = export_features(tmp_path / "out", "npz", tmp_path / "again.npz")
    np.testing.assert_array_equal(again.vectors, plain_npz(tmp_path / "again.npz")[1])


def test_odd_ids_survive(tmp_path: Path) -> None:
    ids = ["0007", "NA", 'a "b", c', "two\nlines", "car\rriage", "", "é 🚀", "1e5"]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3)).astype(np.float32) * np.float32(1e-20)
    table = FeatureTable(ids, [f"p/{id}" for id in ids], vectors)
    for ending in READERS:
        out = tmp_path / f"features{ending}"
        write_features(table, ending[1:], out, force=True)
        found, numbers = read_features(out)
        assert found == ids, ending
        np.testing.assert_array_equal(numbers, vectors)


def test_layers_are_joined_as_they_were_clustered(root: Path) -> None:
    joined = {"layer": ["avgpool", -2], "block_l2": True, "block_weights": [1, 0.5]}
    made = imgcluster.run(config(root, "joined", **joined), show=False)
    np.testing.assert_array_equal(features_of_run(root / "joined").vectors, made.features.vectors)


def test_an_image_that_was_only_touched_is_found(copy: Path) -> None:
    (copy / "pictures" / "0002.jpg").touch()
    assert len(features_of_run(copy / "out").ids) == 6


def test_while_another_run_writes_the_store(root: Path) -> None:
    from imgcluster.features.store.store import FeatureStore

    (folder,) = (path for path in (root / "store").iterdir() if "avgpool" in path.name)
    shaped_by = json.loads((folder / "meta.json").read_bytes())["shaped_by"]
    before = sorted(folder.iterdir())
    with FeatureStore(root / "store", shaped_by):
        assert len(features_of_run(root / "out").ids) == 6
    assert sorted(folder.iterdir()) == before


def test_images_that_are_changed_or_gone_are_told(copy: Path) -> None:
    write_picture(copy / "pictures" / "0002.jpg", np.zeros((40, 40, 3), np.uint8))
    (copy / "pictures" / "0004.jpg").unlink()
    with pytest.raises(
        StoreError, match=r"^2 of 6 images are changed or gone .* '0002.jpg'; run the config of .* again"
    ):
        export_features(copy / "out", "npz", copy / "x.npz")
    assert not (copy / "x.npz").exists()


def test_a_store_that_is_gone_is_told(copy: Path) -> None:
    shutil.rmtree(copy / "store")
    with pytest.raises(StoreError, match=r"meta.json' cannot be read: No such file .*; run the config of .* again"):
        features_of_run(copy / "out")


def test_a_file_of_features_that_changed_since_the_run_is_told(copy: Path) -> None:
    out = copy / "features.npz"
    table = export_features(copy / "out", "npz", out)
    (copy / "pictures" / "0001b.jpg").unlink()
    imgcluster.run(config(copy, "again", file=str(out)), show=False)
    write_features(FeatureTable(table.ids, table.paths, table.vectors * 2), "npz", out, force=True)
    with pytest.raises(ConfigError, match="has changed since the run; run its config again"):
        features_of_run(copy / "again")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, r"is not a run folder \(run.json: No such file or directory\)"),
        ('{"status": "writing"}', "is not finished; run its config again"),
        ('["status"]', "is damaged; run the config again with force=True"),
    ],
)
def test_what_is_no_finished_run_is_told(tmp_path: Path, record: str | None, message: str) -> None:
    if record is not None:
        (tmp_path / "run.json").write_text(record)
    with pytest.raises(OutputError, match=message):
        features_of_run(tmp_path)


def test_nothing_is_overwritten_without_force(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"a.csv' exists; overwrite it with force=True"):
        export_features(root / "out", "csv", tmp_path / "a.csv")
    with pytest.raises(OutputError, match=r"a.csv' exists"):  # the ids beside it
        export_features(root / "out", "npy", tmp_path / "a.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    export_features(root / "out", "npy", tmp_path / "a.npy", force=True)
    assert (tmp_path / "a.csv").read_text().startswith("id,path\n0000.jpg,")


def test_another_ending_or_format_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"of the format npz ends in .npz"):
        export_features(root / "out", "npz", tmp_path / "a.npy")
    with pytest.raises(OutputError, match="there is no format 'hdf5'; there are npz, npy, "):
        export_features(root / "out", "hdf5", tmp_path / "a.hdf5")


def test_without_pyarrow_the_extra_is_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r'pip install "imgcluster\[parquet\]"'):
        export_features(root / "out", "parquet", tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_the_command(root: Path, command: Command, tmp_path: Path) -> None:
    done = command("export", root / "out", "--format", "npz", tmp_path / "a.npz")
    assert done.returncode == 0, done.stderr
    count, line = done.stdout.splitlines()
    assert count == f"6 rows of 1,280 numbers in {tmp_path / 'a.npz'}; in Python:"
    assert line == loader("npz", tmp_path / "a.npz")
    refused = command("export", root / "out", "--format", "npz", tmp_path / "a.npz")
    assert refused.returncode == 1
    assert refused.stderr == f"imgcluster: {str(tmp_path / 'a.npz')!r} exists; overwrite it with --force\n"


def test_the_older_tools_flags(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures", range(2))
    write_picture(tmp_path / "pictures" / "UPPER.PNG", np.full((40, 40, 3), 99, np.uint8))
    write_picture(tmp_path / "pictures" / "other.webp", np.full((40, 40, 3), 99, np.uint8))
    (tmp_path / "pictures" / "broken.bmp").write_bytes(b"")
    flags = ["features", "--data_dir", "pictures", "--model", "efficientnet_lite0", "--quiet"]
    assert main(flags) == 0
    assert "images    4: 3 computed, 0 from the store, 1 failed" in capsys.readouterr().out
    vectors = pickle.loads((tmp_path / "features.pkl").read_bytes())  # noqa: S301
    assert list(vectors) == ["pictures/0000.jpg", "pictures/0001.jpg", "pictures/UPPER.PNG"]
    assert {(vector.shape, str(vector.dtype)) for vector in vectors.values()} == {((1280,), "float32")}
    assert main(flags) == 1
    assert capsys.readouterr().err == "imgcluster: 'features.pkl' exists; overwrite it with --force\n"
    assert main([*flags, "--force"]) == 0
    assert main([*flags, "--out", "features.npz"]) == 0
    ids, numbers = plain_npz(tmp_path / "features.npz")
    assert ids == ["0000.jpg", "0001.jpg", "UPPER.PNG"]
    np.testing.assert_array_equal(numbers, np.stack(list(vectors.values())))


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("efficientnet_lite", None, "did you mean 'efficientnet_lite0'"),
        ("inception_v2", None, "nobody offers its weights; the nearest are inception_v3"),
        (
            "vgg_16",
            "vgg_16.ckpt",
            "features.weights: found 'vgg_16.ckpt', allowed: imagenet, random or a path ending in",
        ),
    ],
)
def test_the_older_tools_flags_when_wrong(
    root: Path, tmp_path: Path, model: str, weights: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compute_features(str(root / "pictures"), model, weights, tmp_path / "features.pkl", show=False)
    assert not list(tmp_path.iterdir())


def test_the_older_tools_flags_over_no_image(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"images.folder: '.*nowhere' is not a folder"):
        compute_features(str(tmp_path / "nowhere"), "efficientnet_lite0", None, tmp_path / "features.pkl", show=False)
    write_picture(tmp_path / "other.webp", np.full((40, 40, 3), 99, np.uint8))
    with pytest.raises(ImageError, match=r"no image below '.*' can be read \(looked for .bmp, .jpeg, .jpg, .png\)"):
        compute_features(str(tmp_path), "efficientnet_lite0", None, tmp_path / "features.pkl", show=False)
    assert not (tmp_path / "features.pkl").exists()
