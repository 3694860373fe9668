"""The config: what is read, what is refused, and in which words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from imgcluster.config.backbone_table import BACKBONES, OLD_NAMES
from imgcluster.config.docs import config_table
from imgcluster.config.engine_schema import DaskEngine
from imgcluster.config.file_patterns import problem_of
from imgcluster.config.loader import (
    SECTIONS,
    Config,
    config_from_dict,
    config_schema,
    features_as_dict,
    features_from_dict,
    load_config,
)
from imgcluster.config.method_table import METHOD_NAMES
from imgcluster.config.reading import Reading
from imgcluster.config.recipe import RECIPE_NAMES
from imgcluster.errors import ConfigError
from tests import ROOT

SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
KEYS = [f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields]
SMALLEST = "images: {folder: pictures}\nclusters: {n_clusters: 3}\noutputs: {folder: out}\n"
SECTION_KEYS = {name: ", ".join(section.model_fields) for name, section in SECTIONS.items()}
PCA = "{pca, whiten: a whole number >= 1 or a number between 0 and 1}"
STEP = f"l2, sqrt, standardize, equalize or {PCA} or {{umap: a whole number >= 1}}"
METHODS = ", ".join(METHOD_NAMES)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes, *overrides: str) -> Config:
    Path("c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config("c.yaml", overrides)


def refusal(text: str | bytes, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    return str(caught.value)


def refusal_of(key: str, value: Any) -> str:
    """What is said about one value, without the key and its place."""
    section, name = key.split(".")
    data = yaml.safe_load(SMALLEST)
    data.setdefault(section, {})[name] = value
    with pytest.raises(ConfigError) as caught:
        config_from_dict(data)
    start = f"config: {key}: "
    assert str(caught.value).startswith(start)
    return str(caught.value)[len(start) :]


# --- what is read ---


def test_defaults() -> None:
    assert read(SMALLEST).resolved() == {
        "images": {
            "folder": "pictures",
            "include": [],
            "exclude": [],
            "ids": None,
            "id_column": None,
            "column": None,
            "file": "{id}.jpg",
            "encoding": None,
            "video": None,
            "pages": "first",
            "missing": "stop",
            "on_error": "record",
            "bands": "auto",
            "range": "auto",
            "color": "managed",
        },
        "features": {
            "backbone": "vgg16",
            "layer": None,
            "pooling": "auto",
            "block_l2": False,
            "block_weights": None,
            "weights": "imagenet",
            "fallback": "efficientnet_lite0",
            "download": "400 MB",
            "preprocess": "backbone",
            "views": "center",
            "device": "auto",
            "precision": "auto",
            "runtime": "auto",
            "batch_size": "auto",
            "store": "outputs/features",
            "file": None,
            "file_columns": None,
        },
        "clusters": {
            "method": "auto",
            "n_clusters": 3,
            "parameters": {},
            "n_init": 10,
            "backend": "auto",
            "random_state": 42,
            "transform": [],
            "order": None,
            "numbering": "raw",
            "hierarchy": None,
        },
        "outputs": {
            "folder": "out",
            "submission": "submission.csv",
            "rows": "images",
            "label_column": "label",
            "layout": "labels",
            "probabilities": "distance",
            "label_offset": 0,
            "names": None,
            "images": "csv",
            "names_from": None,
            "report": True,
            "contact_sheets": False,
        },
        "engine": "local",
        "storage": {},
    }


@pytest.mark.parametrize("section", ["", "features:", "features: {}", "features: null"])
def test_a_section_with_nothing_in_it_has_its_defaults(section: str) -> None:
    assert read(SMALLEST + section) == read(SMALLEST)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_config_loads_and_opens_with_its_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command, editor = path.read_text().splitlines()[:2]
    assert command == f"# python -m imgcluster run {path.relative_to(ROOT)}"
    assert editor == "# yaml-language-server: $schema=schema.json"
    assert load_config(command.split()[-1]).outputs.folder == f"outputs/{path.stem}"


def test_what_the_shipped_configs_ask_for() -> None:
    assert [path.stem for path in SHIPPED] == ["cluster", "digits", "folder", "stage", "video"]
    cluster, digits, folder, stage, video = map(load_config, SHIPPED)
    assert (cluster.dask, cluster.clusters.backend) == (DaskEngine(workers=2), "auto")
    assert (stage.features.backbone, stage.features.layer, stage.features.preprocess) == ("vgg16", "fc6", "stage")
    assert (stage.images.id_column, stage.clusters.n_clusters, stage.clusters.numbering) == ("ImageID", 5, "raw")
    assert (digits.images.file, digits.images.ids) == ("{id}.png", "data/digits/sample_submission.csv")
    assert (digits.features.backbone, digits.clusters.n_clusters) == ("efficientnet_lite0", 10)
    assert folder.features.backbones == ("efficientnet_lite0", "efficientnet_lite2", "hog")
    assert (folder.images.ids, folder.outputs.submission, folder.clusters.numbering) == (None, None, "size")
    assert video.images.video is not None
    assert (video.images.video.step, video.outputs.rows) == (1, "segments")
    assert "python -m imgcluster sample digits data/digits" in (ROOT / "configs/digits.yaml").read_text()
    assert "--set images.folder=/my/pictures" in (ROOT / "configs/folder.yaml").read_text()


def test_models_are_frozen() -> None:
    config = read(SMALLEST)
    with pytest.raises(ValidationError):
        config.clusters.n_clusters = 4
    with pytest.raises(ValidationError):
        config.features = config.features


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images.id_column", "7"),
        ("images.encoding", "cp1252"),
        ("images.encoding", "Shift-JIS"),
        ("images.file", "{id}/frame_{id}.png"),
        ("features.weights", "random"),
        ("features.weights", "my weights/net.pt"),
        ("features.weights", "x.safetensors"),
        ("features.fallback", None),
        ("features.device", "cuda:12"),
        ("features.batch_size", 1),
        ("clusters.random_state", 0),
        ("clusters.random_state", 2**32 - 1),
        ("clusters.transform", ["standardize", {"pca": 1}, "l2", {"pca": 0.95}]),
        ("outputs.submission", None),
        ("outputs.submission", "my labels.csv"),
        *[("features.backbone", name) for name in (*BACKBONES, *OLD_NAMES, "timm:resnet50.a1_in1k")],
        *[("features.preprocess", name) for name in RECIPE_NAMES],
        ("features.preprocess", [{"resize": 256}, {"center_crop": 224}, "rgb", {"normalize": "imagenet"}]),
        ("features.preprocess", [{"squash": 9}, {"normalize": {"mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 0.5]}}]),
        ("features.backbone", ["vgg16", "timm:resnet50.a1_in1k"]),
        ("features.backbone", "auto"),
        ("features.backbone", "timm:vit_small_patch14_dinov2.lvd142m@224"),
        *[("features.download", limit) for limit in ("400 MB", "0.5 GB", "12kB", "never", "any", 0)],
        ("features.layer", {"vgg16": ["relu5_3", -2]}),
    ],
)
def test_allowed_values_are_kept_as_they_are(key: str, value: Any) -> None:
    section, name = key.split(".")
    data = {**yaml.safe_load(SMALLEST), "features": {}}
    data[section][name] = value
    assert config_from_dict(data).resolved()[section][name] == value


@pytest.mark.parametrize(
    "written", ["no", "on", "007", "1:30", "2021-01-01", "0x10", "1_000", "1e3", "=", "~x", "9" * 1001]
)
def test_what_yaml_1_1_takes_for_something_else_is_text(written: str) -> None:
    assert read(f"{SMALLEST}\nfeatures: {{layer: {written}}}").features.layer == written


@pytest.mark.parametrize(("written", "share"), [(".5", 0.5), ("0.25", 0.25), ("+1.0e-01", 0.1)])
def test_shares(written: str, share: float) -> None:
    assert read(SMALLEST, f"clusters.transform=[{{pca: {written}}}]").clusters.transform == ({"pca": share},)


def test_python_may_pass_paths_and_leaves_its_mapping_untouched() -> None:
    data = {"images": {"folder": Path("a/b")}, "clusters": {"n_clusters": 3}, "outputs": {"folder": Path("out")}}
    config = config_from_dict(data)
    assert (config.images.folder, config.outputs.folder) == (str(Path("a/b")), "out")
    assert data == {
        "images": {"folder": Path("a/b")},
        "clusters": {"n_clusters": 3},
        "outputs": {"folder": Path("out")},
    }


def test_anchors_and_merge_keys_work_and_overrides_do_not_leak_through_them() -> None:
    text = "images: &here {folder: x}\nclusters: {n_clusters: 3}\noutputs: *here"
    config = read(text, "outputs.folder=y")
    assert (config.images.folder, config.outputs.folder) == ("x", "y")
    assert read(text.replace("*here", "{<<: *here, folder: z}")).outputs.folder == "z"


def test_byte_order_mark_and_windows_line_ends() -> None:
    assert read(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode()) == read(SMALLEST)


def test_numbers_are_keys_of_names_and_nowhere_else() -> None:
    text = SMALLEST.replace("folder: out", "folder: out, names: {0: entry, +1: descent, '2': landing}")
    names = {0: "entry", 1: "descent", 2: "landing"}
    assert read(text).outputs.names == names
    assert read(SMALLEST, "outputs.names={0: entry, 1: descent, 2: landing}").outputs.names == names
    assert read(SMALLEST, "outputs={folder: x, names: {0: a}}").outputs.names == {0: "a"}
    assert "outputs.names[1] (line 3): given before, in line 3" in refusal(text.replace("'2'", "1"))
    assert "'0' is given twice" in refusal(SMALLEST, "outputs.names={0: a, -0: b}")
    assert "a key must be text" in refusal(SMALLEST.replace("folder: out", "folder: out, 5: x"))
    assert "a key must be text" in refusal(SMALLEST, "outputs={5: x}")


# --- wrong values, key by key ---

TEXT = "allowed: non-empty text"
PATTERN = "allowed: text that holds {id} or slices of it, such as {id[:2]}, or a list of these"
VIDEO = "allowed: {every: 1 s}, {frames: 20}, {frames: all}, or {shots: true}, also with every; or null"
DURATION = "allowed: a number of seconds > 0, or a number with a unit: ms, s, min, h"
NAMES = "allowed: a name for each cluster's number, such as {0: entry, 1: descent} or null"
BACKBONE = "allowed: auto, a name that `imgcluster models` lists, timm:NAME, or a list of names"
DOWNLOAD = "allowed: a size in kB, MB or GB, such as 400 MB; never or 0, or any"
LAYERS = "allowed: a layer's name, a number below 0, a list of these, {BACKBONE: any of these}, or null"
PREPROCESS = (
    "allowed: stage, backbone, squash, letterbox, or a list of steps: "
    "[{resize: 256}, {center_crop: 224}, rgb, {normalize: imagenet}]"
)
STEPS = (
    "rgb, bgr, bilinear, bicubic, {resize | squash | letterbox | center_crop: pixels, 16384 at the most}, "
    "{normalize: imagenet | inception | clip | backbone | {mean: [r, g, b], std: [r, g, b]}}"
)
K = "a whole number >= 1, auto (2..20), a range such as 2..40, or null"
DEVICE = "auto, cpu, cuda, cuda:N, a list of these, or all (GPUs)"
PARAMETERS = "a mapping of parameters of the method's estimator, such as {linkage: average, metric: cosine}"
ORDER = "sequence or {smooth: a number > 0} or null"
NUMBERING = "raw, size, first_appearance, match:RUN (a run folder) or truth:CSV"
BACKEND = "allowed: auto, sklearn, dask"
BANDS = "auto, or a list of one band or three, counted from 1, such as [4, 3, 2]"
RANGE = "auto, declared, percentile, shared, {percentile | shared: [low, high]}, or [min, max]"
WRONG: list[tuple[str, Any, str]] = [
    ("clusters.backend", "spark", f"found 'spark', {BACKEND}"),
    ("clusters.backend", "dusk", f"found 'dusk', {BACKEND}; did you mean 'dask'?"),
    ("images.folder", 7, f"found 7 (a number), {TEXT}, or a list of these; put it in quotes"),
    ("images.folder", "", f"found '', {TEXT}, or a list of these"),
    ("images.folder", " ", f"found ' ', {TEXT}, or a list of these"),
    ("images.folder", None, f"found null (no value), {TEXT}, or a list of these"),
    ("images.folder", ["a", 5], f"found ['a', 5] (a list), {TEXT}, or a list of these"),
    ("images.include", "*.jpg", "found '*.jpg' (text), allowed: a list of non-empty text"),
    ("images.exclude", {"a": 1}, "found {'a': 1} (a mapping), allowed: a list of non-empty text"),
    ("images.ids", 2021, f"found 2021 (a number), {TEXT} or null; put it in quotes"),
    ("images.id_column", 7, f"found 7 (a number), {TEXT} or null; put it in quotes"),
    ("images.id_column", False, f"found false (a boolean), {TEXT} or null; put it in quotes"),
    ("images.file", "x.jpg", f"found 'x.jpg', {PATTERN}"),
    ("images.file", {"id": None}, f"found {{'id': None}} (a mapping), {PATTERN}"),
    ("images.column", 1, f"found 1 (a number), {TEXT} or null; put it in quotes"),
    ("images.encoding", 1252, "found 1252 (a number), allowed: a text encoding that Python knows or null"),
    ("images.encoding", "zip", "found 'zip', allowed: a text encoding that Python knows or null"),
    (
        "images.encoding",
        "utf-9",
        "found 'utf-9', allowed: a text encoding that Python knows or null; did you mean 'utf-8'?",
    ),
    ("images.video", "1 s", f"found '1 s', {VIDEO}"),
    ("images.video", {}, f"found {{}}, {VIDEO}"),
    ("images.video", {"every": 1, "frames": 2}, f"found {{'every': 1, 'frames': 2}}, {VIDEO}"),
    ("images.video", {"shots": True, "frames": 2}, f"found {{'shots': True, 'frames': 2}}, {VIDEO}"),
    ("images.video", {"shots": False}, f"found {{'shots': False}}, {VIDEO}"),
    ("images.video", {"evry": "1 s"}, "evry: unknown key (allowed: every, frames, shots)"),
    ("images.video", {"every": "1 day"}, f"every: found '1 day', {DURATION}"),
    ("images.video", {"every": 0}, f"every: found 0, {DURATION}"),
    ("images.video", {"every": "0 s"}, f"every: found '0 s', {DURATION}"),
    ("images.video", {"frames": 0}, "frames: found 0, allowed: a whole number >= 1, or all"),
    ("images.video", {"shots": "yes"}, "shots: found 'yes', allowed: true or false"),
    ("images.pages", "2", "found '2', allowed: first, all"),
    ("images.missing", "keep", "found 'keep', allowed: stop, skip"),
    ("images.on_error", True, "found true (a boolean), allowed: record, stop"),
    ("images.bands", [4, 3], f"found [4, 3] (a list), allowed: {BANDS}"),
    ("images.bands", [0], f"found [0] (a list), allowed: {BANDS}"),
    ("images.range", [5, 5], "5 is not below 5; the smaller value comes first and becomes black"),
    ("images.range", "percentil", f"found 'percentil', allowed: {RANGE}; did you mean 'percentile'?"),
    ("images.range", {"shared": [99, 1]}, "99 is not below 1; the smaller value comes first and becomes black"),
    ("images.range", {"shared": [0, 101]}, f"found {{'shared': [0, 101]}} (a mapping), allowed: {RANGE}"),
    ("images.range", {"auto": [0, 1]}, f"found {{'auto': [0, 1]}} (a mapping), allowed: {RANGE}"),
    ("images.color", "sRGB", "found 'sRGB', allowed: managed, raw"),
    ("features.backbone", "vgg61", f"found 'vgg61', {BACKBONE}; did you mean 'vgg19'?"),
    ("features.backbone", "timm:", f"found 'timm:', {BACKBONE}"),
    ("features.backbone", "timm:vit_tiny_patch16_224@0", f"found 'timm:vit_tiny_patch16_224@0', {BACKBONE}"),
    ("features.backbone", "aut", f"found 'aut', {BACKBONE}; did you mean 'auto'?"),
    ("features.backbone", ["auto", "vgg16"], f"found ['auto', 'vgg16'] (a list), {BACKBONE}"),
    ("features.download", "400", f"found '400', {DOWNLOAD}"),
    ("features.download", "-1 MB", f"found '-1 MB', {DOWNLOAD}"),
    ("features.download", "4 mb", f"found '4 mb', {DOWNLOAD}"),
    ("features.download", 400, f"found 400 (a number), {DOWNLOAD}"),
    ("features.download", None, f"found null (no value), {DOWNLOAD}"),
    ("features.download", "nevr", f"found 'nevr', {DOWNLOAD}; did you mean 'never'?"),
    ("features.backbone", "timm:a/b", f"found 'timm:a/b', {BACKBONE}"),
    ("features.backbone", 16, f"found 16 (a number), {BACKBONE}"),
    (
        "features.backbone",
        "inception_v2",
        "found 'inception_v2': nobody offers its weights; the nearest are inception_v3 and inception_v1",
    ),
    ("features.layer", True, f"found true (a boolean), {LAYERS}"),
    (
        "features.pooling",
        "average",
        "found 'average', allowed: auto, avg, max, gem, rmac, spp, cls, mean, flatten; did you mean 'avg'?",
    ),
    ("features.block_l2", "yes", "found 'yes', allowed: true or false"),
    ("features.block_weights", 0.5, "found 0.5 (a number), allowed: a list of a number > 0 or null"),
    (
        "features.weights",
        "imagnet",
        "found 'imagnet', allowed: imagenet, random or a path ending in .pth, .pt or .safetensors; "
        "did you mean 'imagenet'?",
    ),
    (
        "features.weights",
        "net.bin",
        "found 'net.bin', allowed: imagenet, random or a path ending in .pth, .pt or .safetensors",
    ),
    (
        "features.weights",
        "folder/.pth",
        "found 'folder/.pth', allowed: imagenet, random or a path ending in .pth, .pt or .safetensors",
    ),
    (
        "features.fallback",
        "vgg16",
        "found 'vgg16', allowed: efficientnet_lite0, efficientnet_lite1, efficientnet_lite2 or null",
    ),
    (
        "features.backbone",
        ["vgg16", "inception_v2"],
        "found ['vgg16', 'inception_v2']: nobody offers its weights; the nearest are inception_v3 and inception_v1",
    ),
    ("features.backbone", ["vgg16", "vgg16"], "vgg16 stands in it twice"),
    ("features.backbone", [], f"found [] (a list), {BACKBONE}"),
    ("features.preprocess", "Stage", f"found 'Stage', {PREPROCESS}; did you mean 'stage'?"),
    ("features.preprocess", 3, f"found 3 (a number), {PREPROCESS}"),
    ("features.preprocess", [{"resiz": 9}], f"{{'resiz': 9}} is none of its steps: {STEPS}; did you mean resize?"),
    ("features.preprocess", [{"squash": 0}], f"{{'squash': 0}} is none of its steps: {STEPS}"),
    (
        "features.preprocess",
        [{"squash": 9, "resize": 9}],
        f"{{'squash': 9, 'resize': 9}} is none of its steps: {STEPS}",
    ),
    ("features.preprocess", ["rgb", None], f"None is none of its steps: {STEPS}"),
    (
        "features.preprocess",
        [{"resize": 256}],
        "the pictures keep their shapes; end with center_crop, or use squash or letterbox",
    ),
    ("features.preprocess", [{"squash": 9}, "rgb", "bgr"], "rgb and bgr stand in it both"),
    ("features.views", "five", "found 'five', allowed: center, flip, whole, five_crops, ten_crops"),
    ("features.device", "gpu", f"found 'gpu', allowed: {DEVICE}; did you mean 'cuda'?"),
    ("features.device", "cuda:0\n", f"found 'cuda:0\\n', allowed: {DEVICE}; did you mean 'cuda'?"),
    ("features.device", [], f"found [] (a list), allowed: {DEVICE}"),
    ("features.precision", 16, "found 16 (a number), allowed: auto, fp32, tf32, bf16, fp16, int8"),
    ("features.runtime", "onnx", "found 'onnx', allowed: auto, torch, torch_compile, openvino"),
    ("features.batch_size", 0, "found 0, allowed: auto or a whole number >= 1"),
    ("features.batch_size", "5", "found '5' (text), allowed: auto or a whole number >= 1"),
    ("features.batch_size", True, "found true (a boolean), allowed: auto or a whole number >= 1"),
    (
        "features.file",
        "f.pkl",
        "found 'f.pkl', allowed: a path ending in .npz, .npy, .parquet, .csv or .safetensors "
        "(no pickle: it can run code; save it as npz) or null",
    ),
    (
        "features.file_columns",
        16,
        "found 16 (a number), allowed: the name of a column or array, the prefix of numbered columns, "
        "or a list of these or null",
    ),
    ("features.store", None, f"found null (no value), {TEXT}"),
    ("clusters.method", "k-means", f"found 'k-means', allowed: {METHODS}; did you mean 'kmeans'?"),
    (
        "clusters.n_clusters",
        "five",
        f"found 'five' (text), allowed: {K}",
    ),
    (
        "clusters.n_clusters",
        "5",
        f"found '5' (text), allowed: {K}",
    ),
    (
        "clusters.n_clusters",
        5.0,
        f"found 5.0, allowed: {K}",
    ),
    (
        "clusters.n_clusters",
        float("nan"),
        f"found nan, allowed: {K}",
    ),
    ("clusters.n_clusters", "5..3", "'5..3': a range goes from 2 or more up, such as 2..20"),
    ("clusters.parameters", "ward", f"found 'ward', allowed: {PARAMETERS}"),
    ("clusters.parameters", {"linkage": ["a"]}, f"found {{'linkage': ['a']}} (a mapping), allowed: {PARAMETERS}"),
    ("clusters.hierarchy", "yes", "found 'yes', allowed: true or false or null"),
    ("clusters.order", "seqence", f"found 'seqence' (text), allowed: {ORDER}; did you mean 'sequence'?"),
    ("clusters.order", {"smooth": 0}, f"found {{'smooth': 0}} (a mapping), allowed: {ORDER}"),
    ("clusters.numbering", "match:", f"found 'match:', allowed: {NUMBERING}"),
    ("clusters.n_init", 0, "found 0, allowed: a whole number >= 1"),
    ("clusters.random_state", -1, "found -1, allowed: a whole number from 0 to 4294967295"),
    ("clusters.random_state", 2**32, "found 4294967296, allowed: a whole number from 0 to 4294967295"),
    ("clusters.random_state", True, "found true (a boolean), allowed: a whole number from 0 to 4294967295"),
    ("clusters.transform", "l2", f"found 'l2' (text), allowed: a list of {STEP}"),
    ("clusters.transform", None, f"found null (no value), allowed: a list of {STEP}"),
    ("clusters.numbering", "Size", f"found 'Size', allowed: {NUMBERING}; did you mean 'size'?"),
    ("outputs.folder", 3.5, f"found 3.5 (a number), {TEXT}; put it in quotes"),
    *[
        (
            "outputs.submission",
            name,
            f"found {name!r}, allowed: a plain file name ending in .csv (not clusters.csv, segments.csv or images.csv) "
            "or null",
        )
        for name in ("a/b.csv", "a\\b.csv", ".csv", "x.txt", "clusters.csv", "Clusters.csv", "images.csv")
    ],
    ("outputs.label_column", "", f"found '', {TEXT}"),
    ("outputs.rows", "frames", "found 'frames', allowed: images, segments"),
    (
        "outputs.layout",
        "onehot",
        "found 'onehot', allowed: labels, one_hot, soft, names; did you mean 'one_hot'?",
    ),
    ("outputs.probabilities", "exact", "found 'exact', allowed: distance, calibrated"),
    ("outputs.label_offset", 1.0, "found 1.0, allowed: a whole number"),
    ("outputs.label_offset", True, "found true (a boolean), allowed: a whole number"),
    ("outputs.images", "xlsx", "found 'xlsx', allowed: csv, parquet"),
    ("outputs.names_from", 7, "found 7 (a number), allowed: non-empty text or null; put it in quotes"),
    ("outputs.report", "no", "found 'no', allowed: true or false"),
    ("outputs.contact_sheets", 1, "found 1 (a number), allowed: true or false"),
    ("outputs.names", ["a"], f"found ['a'] (a list), {NAMES}"),
    ("outputs.names", "a", f"found 'a' (text), {NAMES}"),
    ("outputs.names", {-1: "a"}, "-1 is not a number of a cluster, a whole number >= 0"),
    ("outputs.names", {"x": "a"}, "'x' is not a number of a cluster, a whole number >= 0"),
    ("outputs.names", {True: "a"}, "True is not a number of a cluster, a whole number >= 0"),
    *[
        (
            "outputs.names",
            {0: name},
            f"{name!r}, the name of 0, is no non-empty text; put numbers and words such as null in quotes",
        )
        for name in ("", " ", 5, None, "a\0")
    ],
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG)
def test_wrong_value(key: str, value: Any, words: str) -> None:
    assert refusal_of(key, value) == words


HAS_ITS_OWN = "learned takes this from its model; remove it"


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ("", "parameters", "{model: FOLDER} is missing; learned takes the model that `learn` wrote there"),
        (", parameters: {model: 3}", "parameters", "{model: FOLDER} is missing; learned takes the model"),
        (
            ", n_clusters: 3, parameters: {model: m}",
            "n_clusters",
            "learned sets the number of clusters itself; set it to null",
        ),
        (", transform: [l2], parameters: {model: m}", "transform", f"{HAS_ITS_OWN}, or set clusters.transform=[]"),
        (", numbering: size, parameters: {model: m}", "numbering", f"{HAS_ITS_OWN}, or set clusters.numbering=raw"),
        (", order: {smooth: 1.0}, parameters: {model: m}", "order", f"{HAS_ITS_OWN}, or set clusters.order=null"),
    ],
)
def test_what_a_model_has_is_not_asked_for_twice(keys: str, key: str, words: str) -> None:
    text = SMALLEST.replace("clusters: {n_clusters: 3}", f"clusters: {{method: learned{keys}}}")
    assert text != SMALLEST
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(f"c.yaml: clusters.{key} (line 2): {words}")


def test_every_key_has_a_wrong_value_above() -> None:
    assert {key for key, _, _ in WRONG} == set(KEYS)


@pytest.mark.parametrize(
    ("step", "found", "hint"),
    [
        ("L2", "'L2' (text)", "; did you mean 'l2'?"),
        ({"pca": 1.0}, "{'pca': 1.0} (a mapping)", ""),
        ({"pca": 0}, "{'pca': 0} (a mapping)", ""),
        ({"pca": float("nan")}, "{'pca': nan} (a mapping)", ""),
        ({"pca": True}, "{'pca': True} (a mapping)", ""),
        ({"pca": "64"}, "{'pca': '64'} (a mapping)", ""),
        ({"pac": 64}, "{'pac': 64} (a mapping)", ""),
        ({"pca": 64, "l2": 1}, "{'l2': 1, 'pca': 64} (a mapping)", ""),
        ({}, "{} (a mapping)", ""),
        (["l2"], "['l2'] (a list)", ""),
        (None, "null (no value)", ""),
    ],
)
def test_wrong_step_is_told_by_its_index(step: Any, found: str, hint: str) -> None:
    data = yaml.safe_load(SMALLEST)
    data["clusters"]["transform"] = ["l2", step]
    with pytest.raises(ConfigError) as caught:
        config_from_dict(data)
    assert str(caught.value) == f"config: clusters.transform[1]: found {found}, allowed: {STEP}{hint}"


def test_long_values_are_cut() -> None:
    words = refusal_of("features.weights", "x" * 10_000)
    assert "xxx...xxx" in words
    assert len(words) < 200


@pytest.mark.parametrize("value", ["text", 5, ["a"], [{"folder": "x"}]])
def test_section_that_is_no_mapping(value: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"allowed: a mapping with the keys {SECTION_KEYS['outputs']}")):
        config_from_dict({**yaml.safe_load(SMALLEST), "outputs": value})


def test_mapping_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^config: not a mapping; a config has the sections images, features"):
        config_from_dict(["images"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("layer: fc6", "layer (line 6): of several backbones, {vgg16: LAYER, alexnet: LAYER} or null is needed"),
        ("layer: {vgg19: fc6}", "layer (line 6): 'vgg19' is not among the backbones, vgg16, alexnet"),
        ("weights: x.pth", "weights (line 6): a file fits one backbone; of several, imagenet or random is needed"),
    ],
)
def test_what_several_backbones_cannot_share(keys: str, words: str) -> None:
    text = f"{SMALLEST}features:\n  backbone: [vgg16, alexnet]\n  {keys}\n"
    assert refusal(text) == f"c.yaml: features.{words}"


# --- problems together, with their places ---


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    text = """\
# a comment
clusters:
  n_clusters: five
  transform:
    - l2
    - pca
images:
  folder: x
features:
  backbone: vgg61
  layr: fc6

  backbone: vgg62
"""
    assert refusal(text) == "\n  ".join(
        [
            "c.yaml: 6 problems",
            f"clusters.n_clusters (line 3): found 'five' (text), allowed: {K}",
            f"clusters.transform[1] (line 6): found 'pca' (text), allowed: {STEP}",
            f"features.layr (line 11): unknown key; did you mean 'layer'? (allowed: {SECTION_KEYS['features']})",
            "features.backbone (line 13): given before, in line 10",
            f"features.backbone (line 13): found 'vgg62', {BACKBONE}; did you mean 'vgg16'?",
            "outputs.folder: missing, allowed: non-empty text",
        ]
    )


def test_a_single_problem_is_one_line() -> None:
    text = SMALLEST.replace("3", "five")
    words = f"clusters.n_clusters (line 2): found 'five' (text), allowed: {K}"
    assert refusal(text) == f"c.yaml: {words}"


def test_missing_key_stands_where_its_section_does() -> None:
    words = "clusters.n_clusters (line 2): missing; auto needs a whole number >= 1, or auto"
    assert refusal(SMALLEST.replace("n_clusters: 3", "")) == f"c.yaml: {words}"


def test_merged_keys_have_the_line_they_are_written_on() -> None:
    text = "images: &a\n  folder: x\n  fil: y\nclusters: {n_clusters: 3}\noutputs:\n  <<: *a\n  folder: 5\n"
    message = refusal(text)
    assert "outputs.fil (line 3): unknown key" in message
    assert "outputs.folder (line 7): found 5 (a number)" in message


TOP = "(allowed: images, features, clusters, outputs, engine, storage)"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("feature: {}", f"feature (line 4): unknown key; did you mean 'features'? {TOP}"),
        ("layer: fc6", f"layer (line 4): unknown key; did you mean 'features.layer'? {TOP}"),
        ("zzz: 1", f"zzz (line 4): unknown key {TOP}"),
        ('"a\\nb": 1', f"'a\\nb' (line 4): unknown key {TOP}"),
        (
            "features: {n_init: 3}",
            f"features.n_init (line 4): unknown key; did you mean 'clusters.n_init'? "
            f"(allowed: {SECTION_KEYS['features']})",
        ),
        (
            "features: {batch-size: 3}",
            f"features.batch-size (line 4): unknown key; did you mean 'batch_size'? "
            f"(allowed: {SECTION_KEYS['features']})",
        ),
    ],
)
def test_unknown_key(extra: str, words: str) -> None:
    assert refusal(SMALLEST + extra) == f"c.yaml: {words}"


def test_python_keys_that_are_no_text() -> None:
    with pytest.raises(ConfigError, match=r"^config: 5: unknown key \(allowed: images"):
        config_from_dict({**yaml.safe_load(SMALLEST), 5: 1})  # type: ignore[dict-item]


def test_dask_has_kmeans_alone() -> None:
    words = "dask has K-Means alone, without parameters or an order; set clusters.method: kmeans"
    assert refusal_of("clusters.backend", "dask") == words
    assert read(SMALLEST, "clusters.method=kmeans", "clusters.backend=dask").clusters.backend == "dask"


# --- the engine, and what file systems need ---

ENGINE = "allowed: local, dask, or {dask: {address: tcp://HOST:PORT}} with its settings"


def test_engine_is_this_machine_or_a_dask_cluster() -> None:
    assert read(SMALLEST).dask is None
    assert read(SMALLEST + "engine: dask").dask == read(SMALLEST, "engine=dask").dask == DaskEngine()
    text = "engine: {dask: {address: 'tcp://10.0.0.1:8786', images_per_task: 64}}"
    assert read(SMALLEST + text).dask == DaskEngine(address="tcp://10.0.0.1:8786", images_per_task=64)
    assert read(SMALLEST + text, "engine=dask").dask == DaskEngine()
    assert read(yaml.safe_dump(read(SMALLEST + text).resolved())) == read(SMALLEST + text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("engine: dusk", f"found 'dusk', {ENGINE}; did you mean 'dask'?"),
        ("engine: 5", f"found 5 (a number), {ENGINE}"),
        ("engine: {spark: {}}", f"found 'spark' in it, {ENGINE}"),
        ("engine: {dask: {}, local: {}}", f"found 'local' in it, {ENGINE}"),
        ("engine: {dask: 5}", f"dask: allowed: a mapping with the keys {', '.join(DaskEngine.model_fields)}"),
        ("engine: {dask: {adress: x}}", f"dask.adress: unknown key (allowed: {', '.join(DaskEngine.model_fields)})"),
        ("engine: {dask: {workers: 0}}", "dask.workers: found 0, allowed: a whole number >= 1 or null"),
        ("engine: {dask: {address: here}}", "dask.address: found 'here', allowed: tcp://HOST:PORT or null"),
        ("engine: {dask: {patience: 0}}", "dask.patience: found 0, allowed: a number > 0"),
    ],
)
def test_engine_that_is_refused(text: str, words: str) -> None:
    assert refusal(SMALLEST + text) == f"c.yaml: engine (line 4): {words}"


def test_storage_takes_what_file_systems_take() -> None:
    options = {
        "s3": {"endpoint_url": "http://127.0.0.1:5000", "anon": True, "config_kwargs": {"signature_version": "s3v4"}},
        "gs": {"token": "anon", "cache_timeout": 5},
        "http": {"headers": {"X-From": "us"}, "client_kwargs": {"proxy": "http://host:3128/a@b", "codes": [500, 503]}},
        "sftp": {"username": "me", "key_filename": "~/.ssh/id"},
    }
    assert read(SMALLEST + yaml.safe_dump({"storage": options})).storage == options


@pytest.mark.parametrize(
    ("protocol", "options", "name"),
    [
        ("s3", {"secret": "hunter2"}, "s3.secret"),
        ("s3", {"key": "hunter2"}, "s3.key"),
        ("s3", {"client_kwargs": {"aws_secret_access_key": "hunter2"}}, "s3.client_kwargs.aws_secret_access_key"),
        ("gs", {"token": "hunter2"}, "gs.token"),
        ("abfs", {"connection_string": "hunter2"}, "abfs.connection_string"),
        ("sftp", {"password": "hunter2"}, "sftp.password"),
        ("http", {"headers": {"Authorization": "hunter2"}}, "http.headers.Authorization"),
        ("http", {"headers": {"X-Api-Key": "hunter2"}}, "http.headers.X-Api-Key"),
        ("http", {"headers": {"Ocp-Apim-Subscription-Key": "hunter2"}}, "http.headers.Ocp-Apim-Subscription-Key"),
        ("http", {"headers": {"X-From": "Bearer hunter2"}}, "http.headers.X-From"),
        ("http", {"headers": [["Authorization", "hunter2"]]}, "http.headers"),
        ("http", {"headers": [["X-From", "us"], ["hunter2-token", "hunter2"]]}, "http.headers"),
        ("http", {"headers": ["Authorization: hunter2"]}, "http.headers"),
        ("http", {"headers": [{"name": "X-Api-Key", "value": "hunter2"}]}, "http.headers"),
        ("http", {"headers": [{"X-Api-Key": "hunter2"}]}, "http.headers"),
        ("http", {"client_kwargs": {"headers": [[["x-api-key", "hunter2"]]]}}, "http.client_kwargs.headers"),
        ("http", {"client_kwargs": {"proxy": "me:hunter2@host:3128"}}, "http.client_kwargs.proxy"),
        ("gs", {"token": {"id": "hunter2"}}, "gs.token"),
        ("sftp", {"pwd": "hunter2"}, "sftp.pwd"),
        ("ftp", {"pw": "hunter2"}, "ftp.pw"),
    ],
)  # fmt: skip
def test_secrets_are_refused_and_never_shown(protocol: str, options: dict[str, Any], name: str) -> None:
    message = refusal(SMALLEST + yaml.safe_dump({"storage": {protocol: options}}))
    assert message.startswith(
        f"c.yaml: storage (line 4): {name}: a secret does not belong into a config; set it in the"
    )
    assert "hunter2" not in message
    assert f"FSSPEC_{protocol.upper()}_{name.split('.')[1].upper()}" in message


@pytest.mark.parametrize(
    ("options", "place", "what"),
    [
        ({"endpoint_url": "https://me:hunter2@host"}, "endpoint_url", "a password in it"),
        ({"client_kwargs": {"endpoint_url": "https://host/?a=1&X-Amz-Signature=hunter2"}}, "client_kwargs.endpoint_url",
         "a signature or a key behind its ?"),
        ({"config_kwargs": {"proxies": {"https": "http://me:hunter2@host"}}}, "config_kwargs.proxies.https",
         "a password in it"),
        ({"proxy": "http://me:hunter2@host"}, "proxy", "a password in it"),
        ({"hosts": ["http://a", ["http://me:hunter2@host"]]}, "hosts", "a password in it"),
    ],
)  # fmt: skip
def test_urls_with_secrets_in_options_of_a_file_system(options: dict[str, Any], place: str, what: str) -> None:
    message = refusal(SMALLEST + yaml.safe_dump({"storage": {"s3": options}}))
    assert message.startswith(f"c.yaml: storage (line 4): s3.{place}: a URL with {what} does not belong into a config;")
    assert "hunter2" not in message


@pytest.mark.parametrize(("text", "words"), [("storage: 5", "found 5 (a number), allowed: a mapping of protocols"),
                                             ("storage: {S 3: {}}", "'S 3' is not a protocol, such as s3, gs or http"),
                                             ("storage: {s3: 5}", "s3: allowed: a mapping of options")])  # fmt: skip
def test_storage_that_is_refused(text: str, words: str) -> None:
    assert refusal(SMALLEST + text).startswith(f"c.yaml: storage (line 4): {words}")


# --- strict YAML ---

SECTIONS_HINT = "a config has the sections images, features, clusters, outputs"
TOO_MUCH = "more than 10000 values, or nested too deeply, once its aliases are unfolded"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", f"empty; {SECTIONS_HINT}"),
        ("# nothing\n---\n", f"empty; {SECTIONS_HINT}"),
        ("- images", f"not a mapping; {SECTIONS_HINT}"),
        ("images", f"not a mapping; {SECTIONS_HINT}"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "line 1, column 4: tag !!python/object/apply:os.system is not supported; write the plain value",
        ),
        ("a:\n  - !!int '5'", "line 2, column 5: tag !!int is not supported; write the plain value"),
        ("a: !mine 5", "line 1, column 4: tag !mine is not supported; write the plain value"),
        ("a: 1\n5: 2", "line 2, column 1: a key must be text; put numbers and words such as null in quotes"),
        ("a: {[1]: 2}", "line 1, column 5: a key must be text; put numbers and words such as null in quotes"),
        (
            "a:\n  file: {id}.jpg",
            "line 2, column 13: while parsing a block mapping, expected <block end>, but found '<scalar>'; "
            "text that begins with { or [ goes in quotes",
        ),
        (
            "a: *.jpg",
            "line 1, column 5: while scanning an alias, expected alphabetic or numeric character, but found '.'; "
            "text that begins with * goes in quotes",
        ),
        (
            "a:\n\tb: 1",
            "line 2, column 1: while scanning for the next token, found character '\\t' that cannot start any token; "
            "indent with spaces, not tabs",
        ),
        (
            "a: b: c",
            "line 1, column 5: mapping values are not allowed here; "
            "is a ':' missing above, or is text with ': ' not in quotes?",
        ),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("<<: 3", "line 1, column 5: while constructing a mapping, "
         "expected a mapping or list of mappings for merging, but found scalar"),
        ("a: 1\n---\nb: 2", "line 2, column 1: expected a single document in the stream, but found another document"),
        ("a: 1\nb: \0", "line 2: character '\\x00' is not allowed in YAML"),
        (b"a: 1\nb: caf\xe9", "line 2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (SMALLEST.encode("utf-16"), "line 1: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("#" * 1_000_001, "larger than 1 MB; is this a config?"),
        ("a: &a [*a]", TOO_MUCH),
        ("a: &a {<<: *a}", TOO_MUCH),
        ("a: " + "[" * 5_000, TOO_MUCH),
        ("a: [" + "1," * 10_000 + "]", f"line 1, column 19999: {TOO_MUCH}"),
        ("a: &a 1\nb: [" + "*a, " * 101 + "]", "line 2, column 405: more than 100 aliases (*name)"),
    ],
)  # fmt: skip
def test_yaml_that_is_refused_in_one_line(text: str | bytes, words: str) -> None:
    assert refusal(text) == f"c.yaml: {words}"


def test_alias_bomb_of_few_aliases() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11)]
    assert refusal("\n".join(lines)).endswith(TOO_MUCH)
    merges = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 11)]
    assert refusal("\n".join(merges)).endswith(TOO_MUCH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("images: {folder: x, folder: y}", "images.folder (line 4): given before, in line 4"),
        ("zzz: 1\nzzz: 2\nzzz: 3", "zzz (line 6): given before, in line 4"),
        (
            "clusters:\n  transform:\n  - pca: 1\n    pca: 2",
            "clusters.transform[0].pca (line 7): given before, in line 6",
        ),
    ],
)
def test_repeated_keys_are_told_with_both_lines(text: str, words: str) -> None:
    assert words in refusal(SMALLEST + text)


# --- files ---


def test_no_such_file_names_the_nearest() -> None:
    Path("configs").mkdir()
    Path("configs/stage.yaml").write_text(SMALLEST)
    Path("mine.yml").write_text(SMALLEST)
    for name, near in {
        "config/stage.yaml": "configs/stage.yaml",
        "stage": "configs/stage.yaml",
        "stgae.yml": "configs/stage.yaml",
        "mine.yaml": "mine.yml",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load_config(name)
        assert str(caught.value) == f"{name}: no such file; did you mean {Path(near)}?"
    with pytest.raises(ConfigError, match=r"^zzzzzzzz: no such file$"):
        load_config(Path("zzzzzzzz"))


@pytest.mark.skipif(os.name == "nt", reason="Windows says 'permission denied' about a folder")
def test_folder_instead_of_a_file() -> None:
    Path("configs").mkdir()
    with pytest.raises(ConfigError, match=r"^configs: a folder; name one file$"):
        load_config("configs")
    Path("configs/stage.yaml").write_text(SMALLEST)
    with pytest.raises(ConfigError, match=r"^configs: a folder; name one file, such as configs/stage\.yaml$"):
        load_config("configs")
    with pytest.raises(ConfigError, match=r"^configs/stage\.yaml/x: cannot be read: Not a directory$"):
        load_config("configs/stage.yaml/x")


# --- overrides ---


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("features.layer=fc7", "features", "layer", "fc7"),
        ("features.layer = fc7", "features", "layer", "fc7"),
        ("features.layer=a=b", "features", "layer", "a=b"),
        ("features.fallback=null", "features", "fallback", None),
        ("clusters.n_clusters=12", "clusters", "n_clusters", 12),
        ("clusters.transform=[l2, {pca: 64}]", "clusters", "transform", ["l2", {"pca": 64}]),
        ('images.file="{id}.png"', "images", "file", "{id}.png"),
        (r"images.folder=C:\my pictures", "images", "folder", r"C:\my pictures"),
        ("features={layer: fc7}", "features", "layer", "fc7"),
    ],
)
def test_override(override: str, section: str, key: str, value: Any) -> None:
    assert read(SMALLEST, override).resolved()[section][key] == value


def test_the_last_override_wins_and_mends_what_the_file_has_wrong() -> None:
    assert (
        read(SMALLEST.replace("3", "five"), "clusters.n_clusters=x", "clusters.n_clusters=4").clusters.n_clusters == 4
    )
    assert read("features:", "images.folder=x", "clusters.n_clusters=2", "outputs.folder=y").images.folder == "x"
    assert read(SMALLEST + "features: {layer: fc6}", "features=null").features.layer is None


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("clusters.n_clusters=five", f"clusters.n_clusters (overrides): found 'five' (text), allowed: {K}"),
        (
            "features.layr=fc7",
            f"features.layr (overrides): unknown key; did you mean 'layer'? (allowed: {SECTION_KEYS['features']})",
        ),
        ("layer=fc7", f"layer (overrides): unknown key; did you mean 'features.layer'? {TOP}"),
        ("feature.layer=fc7", f"feature (overrides): unknown key; did you mean 'features'? {TOP}"),
        ("clusters={}", "clusters.n_clusters (overrides): missing; auto needs a whole number >= 1, or auto"),
        (
            "outputs=5",
            f"outputs (overrides): found 5 (a number), allowed: a mapping with the keys {SECTION_KEYS['outputs']}",
        ),
        ("clusters.transform=[l2, 5]", f"clusters.transform[1] (overrides): found 5, allowed: {STEP}"),
        ("features.layer", "overrides entry features.layer: not KEY=VALUE, such as features.layer=fc7"),
        ("=fc7", "overrides entry =fc7: not KEY=VALUE, such as features.layer=fc7"),
        ("features.=fc7", "overrides entry features.=fc7: not KEY=VALUE, such as features.layer=fc7"),
        ("features.layer=", "overrides entry features.layer=: nothing after '='; write null for no value"),
        ("features.layer=#1", "overrides entry features.layer=#1: nothing after '='; write null for no value"),
        *[
            (
                f"{key}=l2",
                f"overrides entry {key}=l2: items cannot be set one by one; "
                "give all, such as clusters.transform='[l2, {pca: 64}]'",
            )
            for key in ("clusters.transform[0]", "clusters.transform.0")
        ],
        (
            "images.file={id}.png",
            "overrides entry images.file={id}.png: line 1, column 5: expected '<document start>', but found "
            "'<scalar>'; text that begins with { or [ goes in quotes; as text: 'images.file=\"{id}.png\"'",
        ),
        ("clusters={n_clusters: 1, n_clusters: 2}",
         "overrides entry clusters={n_clusters: 1, n_clusters: 2}: 'n_clusters' is given twice"),
    ],
)  # fmt: skip
def test_override_that_is_refused(override: str, words: str) -> None:
    assert refusal(SMALLEST, override) == f"c.yaml: {words}"


def test_problems_of_overrides_and_file_are_told_together() -> None:
    message = refusal(SMALLEST.replace("3", "five") + "features: 5", "x", "features.layer=fc7", "outputs.folder=7")
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "c.yaml",
        "  overrides entry x",
        "  outputs.folder (overrides)",
        "  clusters.n_clusters (line 2)",
        "  features (line 4)",
    ]


# --- schema and README ---


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """The part of JSON Schema that pydantic writes for these models."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(fits(value, choice, root) for choice in schema["anyOf"])
    if isinstance(value, dict):
        known = schema.get("properties", {})
        other = schema.get("additionalProperties", {})
        return (
            schema.get("type") == "object"
            and set(schema.get("required", ())) <= set(value)
            and len(value) >= schema.get("minProperties", 0)
            and all(fits(str(key), schema.get("propertyNames", {"type": "string"}), root) for key in value)
            and all(key in known or other is not False for key in value)
            and all(fits(item, known.get(key, other), root) for key, item in value.items())
        )
    if isinstance(value, list):
        in_bounds = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return schema.get("type") == "array" and in_bounds and all(fits(item, schema["items"], root) for item in value)
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return (
        kinds[type(value)] == schema.get("type", kinds[type(value)])
        and value in schema.get("enum", [value])
        and value == schema.get("const", value)
        and (not isinstance(value, str) or bool(re.search(schema.get("pattern", ""), value)))
        and (isinstance(value, str | None) or value >= schema.get("minimum", value))
        and (isinstance(value, str | None) or value <= schema.get("maximum", value))
    )


def test_schema_describes_every_key() -> None:
    schema = config_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["title"], schema["additionalProperties"]) == ("imgcluster config", False)
    assert schema["required"] == ["images", "clusters", "outputs"]
    for name, section in SECTIONS.items():
        definition = schema["$defs"][section.__name__]
        assert definition["additionalProperties"] is False
        assert definition["description"]
        assert list(definition["properties"]) == list(section.model_fields)
        assert all(row["description"] for row in definition["properties"].values())
        assert schema["properties"][name]["$ref"] == f"#/$defs/{section.__name__}"


def test_schema_examples_are_allowed() -> None:
    examples = [
        (name, key, example)
        for name, section in SECTIONS.items()
        for key, row in config_schema()["$defs"][section.__name__]["properties"].items()
        for example in row.get("examples", [])
    ]
    assert ("clusters", "transform", ["l2", {"pca": 256}]) in examples
    needed = {"column": {"folder": "a.parquet"}, "file_columns": {"file": "a.npz"}}
    for name, key, value in examples:
        data = {**yaml.safe_load(SMALLEST)}
        data[name] = {**data.get(name, {}), **needed.get(key, {}), key: value}
        assert config_from_dict(data).resolved()[name][key] == value


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configs_fit_the_schema(path: Path) -> None:
    assert fits(yaml.safe_load(path.read_text()), config_schema(), config_schema())


def test_schema_refuses_most_of_what_the_models_refuse() -> None:
    """An editor marks these; what needs Python (a codec, NaN, steps that make no square) it cannot know."""
    beyond = {"images.encoding", "outputs.submission", "features.preprocess", "features.backbone"}
    passed = set()
    for key, value, _ in WRONG:
        section, name = key.split(".")
        data = yaml.safe_load(SMALLEST)
        data.setdefault(section, {})[name] = value
        if fits(data, config_schema(), config_schema()):
            passed.add(key)
    # `$` also stops before a line break; two ways at once; 5..3
    assert passed <= beyond | {"features.device", "images.video", "clusters.n_clusters"}


@pytest.mark.parametrize(
    ("limit", "size"),
    [("2 kB", 2048), ("1.5MB", 1.5 * 2**20), ("1 GB", 2**30), ("never", 0), (0, 0), ("any", float("inf"))],
)
def test_bytes_of_a_download(limit: str | int, size: float) -> None:
    assert features_from_dict({"download": limit}).max_download_bytes == size


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"layer": "fc6"}, "layer: a layer belongs to a backbone, and `backbone: auto` may take any; leave it out"),
        ({"weights": "my.pth"}, "weights: a file fits one backbone; name it instead of `backbone: auto`"),
    ],
)
def test_auto_takes_no_keys_of_one_backbone(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        features_from_dict({"backbone": "auto", **keys})


def test_a_choice_of_auto_names_the_backbones_and_leaves_the_config_as_written() -> None:
    config = features_from_dict({"backbone": "auto"})
    assert config.needs_choice
    chosen = config.chosen({"backbone": ["vgg16", "resnet18"], "why": "", "passed_over": []})
    assert not chosen.needs_choice
    assert chosen.backbones == ("vgg16", "resnet18")
    assert chosen.model_dump() == config.model_dump()
    assert config.backbones == ("auto",)
    assert features_as_dict(chosen)["backbone"] == ["vgg16", "resnet18"]


def test_features_know_how_images_are_read() -> None:
    config = read(SMALLEST, "images.bands=[4, 3, 2]", "images.range=[0, 4095]", "images.color=raw")
    assert config.features.reading == config.images.reading == Reading((4, 3, 2), (0, 4095), "raw")
    copied = config.features.model_copy(update={"layer": "fc7"})
    assert copied.reading == config.features.reading
    again = features_from_dict(json.loads(json.dumps(features_as_dict(config.features))))
    assert again == config.features
    assert features_as_dict(read(SMALLEST).features) == read(SMALLEST).features.model_dump(mode="json")


def test_schema_file_is_current() -> None:
    """If not, run: `python -m imgcluster schema > configs/schema.json`."""
    written = (ROOT / "configs/schema.json").read_text(encoding="utf-8")
    assert written == json.dumps(config_schema(), indent=2) + "\n"


def test_readme_table_is_current() -> None:
    """If not: put what `python -m imgcluster schema --markdown` prints into configs/README.md."""
    table = config_table()
    assert f"\n\n{table}\n\n" in (ROOT / "configs/README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE) == [*KEYS, "engine", "storage"]


def test_readme_shows_the_message_as_it_is() -> None:
    text = (ROOT / "configs/stage.yaml").read_text().replace("layer: fc6", "layr: fc6").replace(" 5\n", " five\n")
    message = refusal(text).replace("c.yaml", "configs/stage.yaml")
    assert message in (ROOT / "configs/README.md").read_text(encoding="utf-8")


def test_readme_command_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = load_config("configs/stage.yaml", ["features.layer=fc7", "clusters.transform=[l2, {pca: 64}]"])
    assert (config.features.layer, config.clusters.transform) == ("fc7", ("l2", {"pca": 64}))
    readme = (ROOT / "configs/README.md").read_text()
    assert "configs/stage.yaml --set features.layer=fc7 --set clusters.transform='[l2, {pca: 64}]'" in readme


# --- quick, and never a traceback ---


def test_config_needs_no_heavy_import() -> None:
    code = (
        "import sys; from imgcluster.config import config_schema, config_table, load_config;"
        f"load_config({str(ROOT / 'configs/stage.yaml')!r}); config_schema(); config_table();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"yaml", "pydantic", "imgcluster"} <= loaded
    assert not loaded & {"torch", "torchvision", "numpy", "pandas", "sklearn", "cv2", "scipy", "PIL"}


# Neither NUL, which is refused, nor ~, which becomes a home.
texts = st.text(min_size=1).filter(lambda text: text[0] != "~" and "\0" not in text and re.search(r"\S", text))
steps = st.sampled_from(["l2", "standardize"]) | st.fixed_dictionaries(
    {"pca": st.integers(1) | st.floats(0, 1, exclude_min=True, exclude_max=True)}
)
configs = st.fixed_dictionaries(
    {
        "images": st.fixed_dictionaries(
            {"folder": texts},
            optional={
                "ids": texts | st.none(),
                "id_column": texts | st.none(),
                "file": texts.map("{id}".__add__).filter(lambda pattern: problem_of(pattern) is None),
                "encoding": st.sampled_from([None, "utf-8", "cp1252"]),
                "missing": st.sampled_from(["stop", "skip"]),
                "on_error": st.sampled_from(["record", "stop"]),
            },
        ),
        "features": st.fixed_dictionaries(
            {},
            optional={
                "backbone": st.sampled_from(sorted(BACKBONES)),
                "layer": texts | st.none(),
                "weights": st.sampled_from(["imagenet", "random", "1.0.pth", "ä/{x}.safetensors"]),
                "fallback": st.sampled_from(["efficientnet_lite0", None]),
                "device": st.just("cuda:1"),
                "batch_size": st.integers(1) | st.just("auto"),
                "store": texts,
            },
        ),
        "clusters": st.fixed_dictionaries(
            {"n_clusters": st.integers(1)},
            optional={"random_state": st.integers(0, 2**32 - 1), "transform": st.lists(steps, max_size=4)},
        ),
        "outputs": st.fixed_dictionaries(
            {"folder": texts},
            optional={
                "submission": st.sampled_from([None, "x.csv"]),
                "label_column": texts,
                "layout": st.sampled_from(["labels", "one_hot", "soft", "names"]),
                "label_offset": st.integers(-5, 5),
                "names": st.none() | st.dictionaries(st.integers(0, 99).map(str), texts),
            },
        ),
    }
)


@settings(deadline=None, max_examples=60)
@given(configs)
def test_what_resolved_gives_is_read_back_as_the_same_config(data: dict[str, Any]) -> None:
    config = config_from_dict(data)
    assert read(yaml.safe_dump(config.resolved())) == config
    assert json.loads(json.dumps(config.resolved())) == config.resolved()
    for section, given_values in data.items():
        for key, value in given_values.items():
            assert config.resolved()[section][key] == value


@pytest.mark.parametrize(
    "text", ["1e3", "1.0e5", "0o7", "no", "~", "null", "7", ".5", "1_0", "<<", "2021-01-01", "=", "*"]
)
def test_text_that_looks_like_something_else_survives_a_round_trip(text: str) -> None:
    config = config_from_dict({**yaml.safe_load(SMALLEST), "features": {"layer": text}})
    assert read(yaml.safe_dump(config.resolved())).features.layer == text


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(scalars, inner), max_leaves=6)
keys = st.sampled_from([name for section in SECTIONS.values() for name in section.model_fields]) | scalars
anything = st.dictionaries(
    st.sampled_from(list(SECTIONS)) | scalars, st.dictionaries(keys, values, max_size=4) | values, max_size=5
)


@settings(deadline=None, max_examples=100)
@given(anything)
def test_any_mapping_gives_a_config_or_a_config_error(data: dict[Any, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_dict({**data, "outputs": {"folder": ""}})
    assert "outputs.folder: found '', allowed: non-empty text" in str(caught.value)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=st.sampled_from(" \n\t:-[]{}#&*!|>'\"%@`?,.~a1<=\0é")) | st.binary(), st.text())
@example("? a", "")
@example("a: !<tag:yaml.org,2002:python/name:os.system> ''", "x=y")
def test_any_file_gives_a_config_error(text: str | bytes, override: str) -> None:
    message = refusal(text, override)
    assert message.startswith("c.yaml: ")
