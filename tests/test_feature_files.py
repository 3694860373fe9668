"""Vectors that were made elsewhere: matched by name, checked to the last cell, and never a way to run code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

import imgcluster
from imgcluster.config import Config, config_from_dict
from imgcluster.errors import ConfigError
from imgcluster.feature_files import read_features
from imgcluster.summary import summarize_run

IDS = ["0000", "0001", "0002", "0003"]
VECTORS = np.array([[0, 0], [9, 9], [0, 0.1], [9, 9.1]], np.float32)


def config(root: Path, file: Path, **images: Any) -> Config:
    (root / "pictures").mkdir(exist_ok=True)
    (root / "ids.csv").write_text("\n".join(["id", *IDS]))
    return config_from_dict(
        {
            "images": {"folder": str(root / "pictures"), "ids": str(root / "ids.csv"), "missing": "skip", **images},
            "features": {"file": str(file)},
            "clusters": {"n_clusters": 2, "numbering": "first_appearance"},
            "outputs": {"folder": str(root / "out")},
        }
    )


def put_pictures(root: Path) -> None:
    (root / "pictures").mkdir()
    for id in IDS:
        (root / "pictures" / f"{id}.jpg").write_bytes(b"no image: it is never read")


def write_npz(path: Path, ids: Any = tuple(IDS), vectors: Any = VECTORS) -> Path:
    np.savez(path, ids=np.array(ids), vectors=np.array(vectors))
    return path


def test_rows_are_matched_by_name(tmp_path: Path) -> None:
    put_pictures(tmp_path)
    order = [3, 1, 0, 2]
    file = write_npz(tmp_path / "f.npz", [IDS[row] for row in order], VECTORS[order])
    run = imgcluster.run(config(tmp_path, file, missing="stop"), show=False)
    assert run.features.ids == IDS
    np.testing.assert_array_equal(run.features.vectors, VECTORS)
    assert run.clusters.labels.tolist() == [0, 1, 0, 1]


def test_images_without_a_vector_stop_the_run(tmp_path: Path) -> None:
    put_pictures(tmp_path)
    file = write_npz(tmp_path / "f.npz", ["0001", "x.jpg"], VECTORS[:2])
    wanted = config(tmp_path, file, missing="stop")
    words = (
        f"features.file: {str(file)!r}: lacks 3 of 4 images: '0000', '0002', '0003' "
        "(its own ids: '0001', 'x.jpg'); add them, or set images.missing: skip"
    )
    for call in (imgcluster.check, lambda wanted: imgcluster.run(wanted, show=False)):
        with pytest.raises(ConfigError) as error:
            call(wanted)
        assert str(error.value) == words


def test_images_without_a_vector_are_failures_on_request_and_none_needs_to_be_there(tmp_path: Path) -> None:
    file = write_npz(tmp_path / "f.npz", ["extra", *IDS[:3]], np.vstack([[[5, 5]], VECTORS[:3]]))
    run = imgcluster.run(config(tmp_path, file), show=False)
    (failure,) = run.features.failures
    assert (failure.image.id, failure.reason) == ("0003", "no features in f.npz")
    note = "1 of the 4 vectors in f.npz belong to no image of this run"
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["notes"] == [note]
    made = record["features"][0]
    assert (made["backbone"], made["layer"], made["runtime"], made["device"]) == ("file", "f.npz", "file", "none")
    assert made["weights_file"] == str(file)
    lines = summarize_run(run).splitlines()
    assert lines[:4] == [
        "images    4: 3 from the file, 1 failed",
        "  failed  0003: no features in f.npz",
        f"features  {file}, 2-d (sha256 {made['weights_sha256'][:8]}…)",
        f"note: {note}",
    ]


# Each writer makes one thing wrong; the message names it.


def npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content, encoding="utf-8") and None


def table(**columns: Any) -> Callable[[Path], None]:
    return lambda path: parquet.write_table(pa.table(columns), path)


def tensors(metadata: dict[str, str], **arrays: np.ndarray) -> Callable[[Path], None]:
    return lambda path: save_file(arrays, path, metadata)


TWO = VECTORS[:2]
WRONG = {
    "absent": ("a.npz", lambda path: None, "cannot be read: No such file or directory"),
    "ending": ("a.txt", text(""), r"its ending is none of \.npz, \.npy, .*save it as npz"),
    "damaged": ("a.npz", text("PK\3\4 and no more"), r"damaged, or no \.npz of numbers and text \("),
    "names": ("a.npz", npz(id=["a"], x=TWO), "has the arrays id, x; `ids` and `vectors` are needed"),
    "objects": ("a.npz", npz(ids=np.array(["a", "b"], object), vectors=TWO), r"allow_pickle=False"),
    "numbers as ids": ("a.npz", npz(ids=[1, 2], vectors=TWO), "its ids are not text: 1, 2"),
    "bytes as ids": ("a.npz", npz(ids=[b"a", b"b"], vectors=TWO), "its ids are not text: b'a', b'b'"),
    "text as vectors": ("a.npz", npz(ids=["a"], vectors=[["x"]]), "its vectors are <U1, not numbers"),
    "one row": ("a.npz", npz(ids=["a", "b"], vectors=[1.0, 2.0]), r"2 ids, and vectors of the shape \(2,\)"),
    "too few ids": ("a.npz", npz(ids=["a"], vectors=TWO), r"1 ids, and vectors of the shape \(2, 2\); \(1, length\)"),
    "empty": ("a.npz", npz(ids=np.empty(0, "U1"), vectors=np.empty((0, 4))), "no vectors in it"),
    "twice": ("a.npz", npz(ids=["a", "a"], vectors=TWO), "1 ids stand in it more than once: 'a'"),
    "NaN": ("a.npz", npz(ids=["a", "b"], vectors=[[0, 1], [np.nan, 1]]), r"1 vectors are not finite .*: 'b'"),
    "beyond float32": ("a.npz", npz(ids=["a", "b"], vectors=[[0, 1e60], [0, 1]]), r"1 vectors are not finite .*: 'a'"),
    "no ids": ("a.npy", lambda path: np.save(path, TWO), "an .npy has no ids: put them beside it, in '.*a.csv'"),
    "no CSV": ("a.csv", text(""), "no columns in it"),
    "ids alone": ("a.csv", text("id\na\nb\n"), "no vectors in it"),
    "ragged": ("a.csv", text("id,x,y\na,1,2\nb,1\n"), "a.csv line 3 has 2 cells, and the header 3"),
    "text": ("a.csv", text("id,x,y\na,1,2\nb,1,red\n"), "line 3: could not convert string to float: 'red'"),
    "empty cell": ("a.csv", text("id,x,y\na,,2\n"), "line 2: could not convert string to float: ''"),
    "nan": ("a.csv", text("id,x\na,nan\n"), r"1 vectors are not finite .*: 'a'"),
    "ragged lists": ("a.parquet", table(id=["a", "b"], v=[[1.0], [1.0, 2.0]]), "in column 'v' have different lengths"),
    "no list": ("a.parquet", table(id=["a", "b"], v=[[1.0], None]), "in column 'v' have different lengths"),
    "a gap": ("a.parquet", table(id=["a", "b"], x=[1.0, None]), r"1 vectors are not finite .*: 'b'"),
    "text column": ("a.parquet", table(id=["a"], x=[1.0], note=["n"]), "column 'note' holds string, not numbers"),
    "no parquet": ("a.parquet", text("id,x"), r"damaged, or no \.parquet of numbers and text"),
    "no metadata": ("a.safetensors", tensors({}, vectors=TWO), "needs a tensor `vectors`, and `ids` in its metadata"),
    "no JSON": ("a.safetensors", tensors({"ids": "a b"}, vectors=TWO), r"damaged, or no \.safetensors of numbers"),
}


@pytest.mark.parametrize(("name", "write", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, name: str, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(ConfigError, match=message) as error:
        read_features(tmp_path / name)
    assert str(error.value).startswith(f"features.file: {str(tmp_path / name)!r}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("index.csv", text(",0,1\na,0,0\nb,9,9\n")),  # as pandas writes a frame with its index
        ("mark.csv", text("\ufeffid,path,x,y\r\na,p/a,0,0\r\n\r\nb,p/b,9,9\r\n")),
        ("columns.parquet", table(path=["p", "q"], f0=[0, 9], id=["a", "b"], f1=[0.0, 9.0])),
        ("lists.parquet", table(id=["a", "b"], embedding=[[0.0, 0.0], [9.0, 9.0]])),
        ("half.safetensors", tensors({"ids": '["a", "b"]'}, vectors=TWO.astype(np.float16))),
        ("integers.npz", npz(ids=["a", "b"], vectors=TWO.astype(np.int64))),
    ],
)
def test_what_others_write_is_read(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    ids, vectors = read_features(tmp_path / name)
    assert ids == ["a", "b"]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, TWO)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, crater: Path) -> None:
        self.crater = crater

    def __reduce__(self) -> Any:
        return Path.touch, (self.crater,)


@pytest.mark.parametrize("ending", ["npz", "npy", "csv", "parquet", "safetensors", "pkl", "pickle"])
def test_a_pickle_is_not_executed(tmp_path: Path, ending: str) -> None:
    crater, bomb = tmp_path / "crater", tmp_path / f"bomb.{ending}"
    bomb.write_bytes(pickle.dumps(Bomb(crater)))
    if ending == "npy":
        bomb.with_suffix(".csv").write_text("id\na\n")
    with pytest.raises(ConfigError) as error:
        read_features(bomb)
    assert "\n" not in str(error.value)
    assert not crater.exists()
    pickle.loads(bomb.read_bytes())  # noqa: S301 (it is live)
    assert crater.exists()


def test_a_bomb_inside_an_array_is_not_executed(tmp_path: Path) -> None:
    crater = tmp_path / "crater"
    np.savez(tmp_path / "a.npz", ids=np.array(["a"]), vectors=np.array([[Bomb(crater)]], object))
    with pytest.raises(ConfigError, match="allow_pickle=False"):
        read_features(tmp_path / "a.npz")
    assert not crater.exists()


def test_pkl_is_refused_by_the_config_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"features.file: found .*f.pkl'.*\(no pickle: it can run code; save it as npz\)"
    ):
        config(tmp_path, tmp_path / "f.pkl")
