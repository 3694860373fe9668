"""Vectors that were made elsewhere: matched by name, checked to the last cell, and never a way to run code."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

import imgcluster
from imgcluster.cli.format.run import summarize_run
from imgcluster.config.loader import Config, config_from_dict
from imgcluster.errors import ConfigError
from imgcluster.features.files import read_features
from imgcluster.runs.features import features_of_run

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
    "text alone": (
        "a.parquet",
        table(id=["a"], note=["n"]),
        "has no column of numbers, or of lists of them, but 'note'",
    ),
    "two lists": (
        "a.parquet",
        table(id=["a"], vector=[[1.0, 2.0]], box=[[1.0]]),
        r"its vectors may be 'vector' \(lists\) or 'box' \(lists\): choose by features.file_columns: vector \(",
    ),
    "two networks": (
        "a.csv",
        text("id,r_0,r_1,v_0,v_1\na,1,2,3,4\n"),
        r"may be 'r_0' to 'r_1' \(2 columns\) or 'v_0' to 'v_1' \(2 columns\): choose by features.file_columns: r_ \(",
    ),
    "no parquet": ("a.parquet", text("id,x"), "is a text file, not a Parquet file"),
    "a pickle": ("a.npz", lambda path: path.write_bytes(pickle.dumps({"a": [1.0]})), "is a pickle, not an .npz"),
    "a web page": ("a.csv", text("<!DOCTYPE html>\n<html>\n"), "is an HTML page, not a CSV"),
    "a pointer": (
        "a.safetensors",
        text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "is a Git LFS pointer, not a safetensors file; run git lfs pull",
    ),
    "a folder": ("a.npz", lambda path: path.mkdir(), "is a folder; name a file"),
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


# A vector is one column of lists, or columns that belong together by name; nothing else of the table gets into it.

SIXTEEN = np.arange(64, dtype=np.float32).reshape(4, 16)


def frame(names: list[str]) -> pd.DataFrame:
    """A table as people keep them: vectors between the class, the size and what else is known of each image."""
    table = pd.DataFrame({"image_id": IDS, "label": [1, 0, 1, 0], "width": 640, "height": [1, 2, 3, 4]})
    return pd.concat([table, pd.DataFrame(SIXTEEN, columns=names), pd.DataFrame({"year": [2019.5] * 4})], axis=1)


NUMBERED = [[f"f{at}" for at in range(16)], [f"{at}" for at in range(16)], [f"feat_{at:03d}" for at in range(1, 17)]]
LEFT_OUT = "not part of the vectors: 'label', 'width', 'height', 'year'"


@pytest.mark.parametrize("names", NUMBERED, ids=["f0", "0", "feat_001"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_other_columns_of_numbers_are_left_out_and_named(tmp_path: Path, ending: str, names: list[str]) -> None:
    file = tmp_path / f"f.{ending}"
    getattr(frame(names), f"to_{ending}")(file, index=False)
    run = imgcluster.run(config(tmp_path, file), show=False)
    np.testing.assert_array_equal(run.features.vectors, SIXTEEN)
    assert run.features.notes == [
        f"f.{ending}: took {names[0]!r} to {names[-1]!r} (16 columns); left out 4 columns that are {LEFT_OUT}"
    ]
    assert f"note: f.{ending}: took {names[0]!r} to" in summarize_run(run)


def test_the_row_numbers_of_pandas_are_no_feature_and_no_id(tmp_path: Path) -> None:
    kept = frame(NUMBERED[0])[2:].drop(columns=["label", "width", "height", "year"])  # its index is 2, 3
    kept.to_csv(tmp_path / "f.csv")
    kept.to_parquet(tmp_path / "f.parquet")
    for name in ("f.csv", "f.parquet"):
        ids, vectors = read_features(tmp_path / name)
        assert ids == IDS[2:]
        np.testing.assert_array_equal(vectors, SIXTEEN[2:])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("columns", "note"),
    [
        (
            {"": [0, 1, 2, 3], "kind": ["p", "q", "p", "q"], "photo": [f"{id}.jpg" for id in IDS[::-1]]},
            "",
        ),  # its index, as pandas writes it
        ({"no": [3, 0, 1, 2], "photo": [f"x/{id}.jpg" for id in IDS[::-1]]}, ""),
        ({"no": ["0003", "0000", "0001", "0002"], "photo": [f"{id}.jpg" for id in IDS[::-1]]}, "'no'"),
    ],
)
def test_the_ids_are_in_the_column_that_names_the_images(
    tmp_path: Path, columns: dict[str, list[Any]], note: str, ending: str
) -> None:
    vectors = dict(zip(["v0", "v1"], VECTORS[::-1].T.tolist(), strict=True))
    getattr(pd.DataFrame({**columns, **vectors}), f"to_{ending}")(tmp_path / f"f.{ending}", index=False)
    put_pictures(tmp_path)
    own = {"ids": None, "missing": "stop"}
    run = imgcluster.run(config(tmp_path, tmp_path / f"f.{ending}", **own), show=False)
    assert run.features.ids == [f"{id}.jpg" for id in IDS]
    np.testing.assert_array_equal(run.features.vectors, VECTORS)
    taken = f"took the ids from column 'photo', whose cells name the images, not from {note}"
    assert not note or f"f.{ending}: {taken}" in run.features.notes


def test_a_list_goes_before_single_numbers(tmp_path: Path) -> None:
    table(id=IDS, label=[0, 1, 0, 1], vector=VECTORS.tolist(), note=["n"] * 4)(tmp_path / "f.parquet")
    run = imgcluster.run(config(tmp_path, tmp_path / "f.parquet"), show=False)
    np.testing.assert_array_equal(run.features.vectors, VECTORS)
    assert run.features.notes == [
        "f.parquet: took 'vector' (lists); left out 2 columns that are not part of the vectors: 'label', 'note'"
    ]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id,x,y", "took as vectors the columns 'x', 'y'"),  # nothing tells that these are not
        ("id,f1,f3", "took 'f1' to 'f3' (2 columns), whose numbers have gaps"),
        ("id,f1,y", "took as vectors the columns 'f1', 'y'"),
    ],
)
def test_columns_without_a_common_name_are_named(tmp_path: Path, header: str, words: str) -> None:
    (tmp_path / "f.csv").write_text(f"{header}\n" + "".join(f"{id},{int(id)},1\n" for id in IDS))
    run = imgcluster.run(config(tmp_path, tmp_path / "f.csv"), show=False)
    assert run.features.vectors.tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]]
    assert run.features.notes == [f"f.csv: {words}"]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("box", [5]), ("r_", [0, 1]), (["v_", "r_"], [0, 1, 2, 3]), ("r_1", [1]), ("", [4, 6])],
)
def test_a_key_chooses_the_columns(tmp_path: Path, asked: Any, wanted: list[int]) -> None:
    columns = {name: [at + int(id) / 8 for id in IDS] for at, name in enumerate(["r_0", "r_1", "v_0", "v_1", "0"])}
    box, last = [[5 + int(id) / 8] for id in IDS], {"1": [6 + int(id) / 8 for id in IDS]}
    table(**columns, box=box, **last, id=IDS)(tmp_path / "f.parquet")
    plain = config(tmp_path, tmp_path / "f.parquet").resolved()
    chosen = config_from_dict({**plain, "features": {**plain["features"], "file_columns": asked}})
    run = imgcluster.run(chosen, show=False)
    expected = [[at + row / 8 for at in wanted] for row in range(4)]
    assert run.features.vectors.tolist() == expected
    assert len(imgcluster.check(chosen)) == 4
    assert features_of_run(run.folder).vectors.tolist() == expected


@pytest.mark.parametrize(
    ("name", "columns", "words"),
    [
        (
            "f.csv",
            {"bbox_0": [1] * 4, "bbox_1": [2] * 4, "embedding": VECTORS.tolist()},
            "'embedding' (lists) or 'bbox_0'",
        ),
        (
            "f.csv",
            {"crop1": [1] * 4, "crop2": [2] * 4, "a": [1] * 4, "b": [2] * 4, "c": [3] * 4},
            "or 'a', 'b', 'c' (3",
        ),
        (
            "f.csv",
            {"fold1": [1] * 4, "fold2": [2] * 4, "v0": [1] * 4, "v2": [2] * 4, "v5": [3] * 4},
            "or 'v0' to 'v5' (3",
        ),
        ("f.parquet", {"box": VECTORS.tolist(), "vector": [b"abcd"] * 4}, "'box' (lists) or 'vector' (bytes)"),
        ("f.parquet", {"box": VECTORS.tolist(), "vector": ["[1, 2]"] * 4}, "'box' (lists) or 'vector' (lists)"),
    ],
)
def test_columns_that_may_all_be_the_vectors_are_refused(
    tmp_path: Path, name: str, columns: dict[str, list[Any]], words: str
) -> None:
    file = tmp_path / name
    getattr(pd.DataFrame({"id": IDS, **columns}), f"to_{file.suffix[1:]}")(file, index=False)
    with pytest.raises(ConfigError, match=rf"{re.escape(words)}.*choose by features.file_columns: "):
        read_features(file)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_list_as_text_is_read(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"f.{ending}"
    table = pd.DataFrame({"id": IDS, "label": [0, 1, 0, 1], "embedding": [str(row) for row in VECTORS.tolist()]})
    getattr(table, f"to_{ending}")(file, index=False)
    np.testing.assert_array_equal(read_features(file)[1], VECTORS)
    for cells, words in {
        ("[1 2]", "[1 2]"): "'embedding' is not a list of",
        ("[1, 2]", "[1]"): "different lengths",
    }.items():
        getattr(table.assign(embedding=[*cells, *cells]), f"to_{ending}")(file, index=False)
        with pytest.raises(ConfigError, match=words):
            read_features(file)


def test_a_key_that_chooses_nothing_is_refused(tmp_path: Path) -> None:
    plain = config(tmp_path, tmp_path / "f.npz").resolved()
    for section, keys in {"features": {"file": None, "file_columns": "f"}, "images": {"column": "image_1"}}.items():
        with pytest.raises(ConfigError, match=rf"{list(keys)[-1]}: it chooses .*; leave it out"):
            config_from_dict({**plain, section: {**plain[section], **keys}})


def test_a_key_chooses_the_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ids=np.array(IDS), clip=VECTORS, dino=SIXTEEN)
    np.testing.assert_array_equal(read_features(tmp_path / "a.npz", "dino")[1], SIXTEEN)
    assert read_features(tmp_path / "a.npz", ["clip", "dino"])[1].shape == (4, 18)
    tensors({"ids": json.dumps(IDS)}, clip=VECTORS)(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_features(tmp_path / "a.safetensors", "clip")[1], VECTORS)
    with pytest.raises(ConfigError, match=r"arrays ids, clip, dino; `ids` and `vectors` are needed \(features.file_c"):
        read_features(tmp_path / "a.npz")
    with pytest.raises(ConfigError, match=r"has the arrays ids, clip, dino; `ids` and `blip` are needed$"):
        read_features(tmp_path / "a.npz", "blip")
    (tmp_path / "a.csv").write_text("id,f0,f1\na,1,2\n")
    with pytest.raises(ConfigError, match=r"no column 'g', and none called g0, g1, ... \(features.file_columns; its"):
        read_features(tmp_path / "a.csv", "g")


@pytest.mark.parametrize("type", ["float16", "bfloat16", "float8_e4m3fn"])
def test_short_numbers_are_read(tmp_path: Path, type: str) -> None:
    import torch
    from safetensors.torch import save_file as save_tensors

    vectors = torch.tensor([[1.5, -2], [0.25, 448]]).to(getattr(torch, type))  # exact in each of the types
    save_tensors({"vectors": vectors}, tmp_path / "a.safetensors", {"ids": '["a", "b"]'})
    ids, found = read_features(tmp_path / "a.safetensors")
    assert (ids, found.dtype, found.tolist()) == (["a", "b"], np.float32, [[1.5, -2], [0.25, 448]])


# Names that are not equal.


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ([f"{id}.jpg" for id in IDS], "4 without endings ('0000.jpg' is image '0000')"),
        ([f"train/{id}" for id in IDS], "4 without folders ('train/0000' is image '0000')"),
        ([f"/data/x/{id}.png" for id in IDS], "4 without folders and endings ('/data/x/0000.png' is image '0000')"),
    ],
)
def test_vectors_are_matched_without_endings_and_folders(tmp_path: Path, names: list[str], rule: str) -> None:
    file = write_npz(tmp_path / "f.npz", [*names, "other"], np.vstack([VECTORS, [[5, 5]]]))
    run = imgcluster.run(config(tmp_path, file), show=False)
    np.testing.assert_array_equal(run.features.vectors, VECTORS)
    assert not run.features.failures
    assert run.features.notes[0] == f"f.npz: matched 4 vectors by name: {rule}; 1 vectors and 0 images left over"


def test_a_vector_that_fits_two_images_is_nobodys(tmp_path: Path) -> None:
    file = write_npz(tmp_path / "f.npz", ["1"], VECTORS[:1])
    wanted = config(tmp_path, file, missing="stop", ids=None)
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir()
        (tmp_path / "pictures" / name / "1.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"lacks 2 of 2 images.*; 1 name is ambiguous: '1'; add them"):
        imgcluster.check(wanted)


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
