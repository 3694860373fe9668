"""The runs of the golden record, and how a result is compared with what was recorded.

Each input has some runs over one feature store, all in one folder that `lay_out` fills, with relative paths. The
network computes in float32 by torch on the CPU, so that nothing in a fingerprint depends on the machine. Labels and
all other text are compared to the byte. Distances come out of floating-point sums whose last digits depend on the CPU:
they are compared within a tolerance, and to the byte only by the setup that made the record.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
INPUTS = HERE / "inputs"
RECORDED = HERE / "recorded"
SETUP = "setup.json"  # who made a part of the record
# Of the 160 frames in data/stage these are taken.
STAGE_FRAMES = range(0, 160, 8)
# Relative; two CPUs agree in float32 to 1e-6 of a feature, and distances are printed with six digits.
TOLERANCE = 2e-4
FORMATS: tuple[Callable[[float], str], ...] = ("{:.6g}".format, "{:.6f}".format, repr)

Imgcluster = Callable[..., str]  # runs the command in the folder, and returns what it printed
Settings = Mapping[str, str]

NETWORK = {
    "features.backbone": "efficientnet_lite0",
    "features.device": "cpu",
    "features.precision": "fp32",
    "features.runtime": "torch",
    "features.store": "store",
    "outputs.report": "false",
}
ARCHIVE = {"images.folder": "inputs/shapes.tar", "features.views": "center"}
# Features of whole numbers from a file: no network, and sums that are exact in any order.
PIXELS = {"features": "{file: inputs/pixels.npz}", "outputs.report": "false"}

# By input the config in configs/, what all its runs set, and by the run's name what it sets itself.
CASES: dict[str, tuple[str, Settings, dict[str, Settings]]] = {
    "stage": (
        "stage.yaml",
        {**NETWORK, "features.layer": "null", "images.folder": "data/stage/test", "images.ids": "stage.csv"},
        {
            "as_shipped": {},
            "vgg16": {
                "features.backbone": "vgg16",
                "features.layer": "[relu3_3, fc6]",
                "features.weights": "random",
                "images.ids": "few.csv",
                "clusters.n_clusters": "1",
            },
            "sequence": {
                "clusters.order": "sequence",
                "clusters.numbering": "first_appearance",
                "outputs.layout": "one_hot",
            },
            "smooth": {
                "clusters.method": "gaussian_mixture",
                "clusters.transform": "[standardize, {pca: 4}]",
                "clusters.order": "{smooth: 1.0}",
                "outputs.label_offset": "1",
            },
            "like_another": {
                "clusters.numbering": "match:runs/sequence",
                "clusters.random_state": "7",
                "outputs.names": "{0: a, 1: b, 2: c, 3: d, 4: e}",
                "outputs.layout": "names",
            },
        },
    ),
    "digits": (
        "digits.yaml",
        {**NETWORK, "images.folder": "inputs/digits", "images.ids": "inputs/digits.csv", "clusters.n_clusters": "5"},
        {
            "as_shipped": {},
            "pca": {
                "clusters.method": "kmeans",
                "clusters.transform": "[l2, {pca: 8}]",
                "clusters.numbering": "size",
                "outputs.label_offset": "1",
            },
            "mixture": {
                "clusters.method": "gaussian_mixture",
                "clusters.transform": "[sqrt, {pca: 0.8}]",
                "outputs.layout": "soft",
            },
            "truth": {"clusters.method": "kmeans", "clusters.numbering": "truth:inputs/digits_truth.csv"},
            "two_layers": {
                "features.layer": "[-3, avgpool]",
                "features.block_l2": "true",
                "features.block_weights": "[1, 0.5]",
                "clusters.method": "bisecting_kmeans",
            },
        },
    ),
    "photos": (
        "folder.yaml",
        {**NETWORK, "images.folder": "inputs/photos"},
        {
            "as_shipped": {},
            "chosen": {"clusters.n_clusters": "auto"},
            "joined": {"features.backbone": "[efficientnet_lite0, efficientnet_lite2]"},
            "average": {
                "clusters.method": "agglomerative",
                "clusters.parameters": "{linkage: average, metric: cosine}",
                "clusters.n_clusters": "2..12",
                "outputs.submission": "labels.csv",
            },
            "random": {
                "features.backbone": "[squeezenet1_1, mobilenet_v3_small]",
                "features.weights": "random",
                "features.views": "center",
                "features.preprocess": "letterbox",
                "features.pooling": "gem",
                "features.block_l2": "true",
                "clusters.method": "kmeans",
                "clusters.n_clusters": "3",
                "clusters.transform": "[l2]",
            },
        },
    ),
    "archive": (
        "folder.yaml",
        {**NETWORK, **ARCHIVE, "clusters.n_clusters": "3", "outputs.submission": "submission.csv"},
        {
            "as_shipped": {},
            "dense": {
                "clusters.method": "hdbscan",
                "clusters.n_clusters": "null",
                "clusters.parameters": "{min_cluster_size: 3}",
                "clusters.transform": "[{pca: 4}]",
            },
            "spectral": {"clusters.method": "spectral", "images.exclude": "[squares]", "clusters.n_clusters": "2"},
        },
    ),
    "pixels": (
        "digits.yaml",
        {**PIXELS, "images.folder": "inputs/digits", "images.ids": "inputs/digits.csv", "clusters.n_clusters": "5"},
        {
            "kmeans": {"clusters.method": "kmeans"},
            "minibatch": {"clusters.method": "minibatch_kmeans", "clusters.numbering": "size"},
            "ward": {"clusters.method": "agglomerative", "clusters.numbering": "first_appearance"},
            "birch": {"clusters.method": "birch", "clusters.parameters": "{threshold: 4.0}"},
            "dbscan": {
                "clusters.method": "dbscan",
                "clusters.n_clusters": "null",
                "clusters.parameters": "{eps: 24, min_samples: 3}",
            },
            "affinity": {"clusters.method": "affinity_propagation", "clusters.n_clusters": "null"},
            "mean_shift": {
                "clusters.method": "mean_shift",
                "clusters.n_clusters": "null",
                "clusters.parameters": "{bandwidth: 30}",
            },
            "range": {"clusters.method": "kmeans", "clusters.n_clusters": "3..7"},
        },
    ),
}


def lay_out(folder: Path) -> None:
    """Put the configs that ship and the inputs of all runs into a folder."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "data" / "stage", folder / "data" / "stage")
    shutil.copytree(INPUTS, folder / "inputs")
    rows = [f"{number:04d},0\n" for number in STAGE_FRAMES]
    (folder / "stage.csv").write_text("".join(["ImageID,label\n", *rows]))
    (folder / "few.csv").write_text("".join(["ImageID,label\n", *rows[::10]]))


def run_all(name: str, folder: Path, imgcluster: Imgcluster) -> dict[str, str]:
    """Make the runs of an input in a folder that is laid out; return the text of each file of their record."""
    config, shared, cases = CASES[name]
    files = {}
    for case, own in cases.items():
        settings = {**shared, **own, "outputs.folder": f"runs/{case}"}
        sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        imgcluster("run", f"configs/{config}", *sets, "--quiet")
        run = folder / "runs" / case
        for path in sorted(run.glob("*.csv")):
            files[f"{case}/{path.name}"] = path.read_bytes().decode()
        files[f"{case}/run.json"] = as_json(of_record(json.loads((run / "run.json").read_bytes())))
    files["stores.json"] = as_json(stores_in(folder / "store"))
    return files


def of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run.json is the same on each machine: its keys, and what it counts and names."""
    counts = ("computed", "reused", "dim", "fingerprint", "layer", "precision", "runtime", "stores")
    return {
        "keys": sorted(keys_of(record)),
        "counts": record["counts"],
        "cluster_sizes": record["cluster_sizes"],
        "features": [{key: each[key] for key in counts if key in each} for each in record["features"]],
    }


def keys_of(record: Any, prefix: str = "") -> set[str]:
    """Return the nested keys, `a.b` and `a[].b`; what took seconds within the features differs from run to run."""
    if isinstance(record, list):
        return {key for each in record for key in keys_of(each, f"{prefix}[]")}
    if not isinstance(record, dict) or prefix == "features[].seconds":
        return set()
    within = (keys_of(value, f"{prefix}.{key}".lstrip(".")) for key, value in record.items())
    return {f"{prefix}.{key}".lstrip(".") for key in record}.union(*within)


def stores_in(folder: Path) -> dict[str, Any]:
    """Return the stores of a folder by their names, each with its meta.json."""
    return {path.parent.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*/meta.json"))}


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def differences(found: Mapping[str, str], name: str) -> list[str]:
    """Say where files differ from those of a part of the record."""
    recorded = read_record(RECORDED / name)
    to_the_byte = json.loads(recorded.pop(SETUP)) == setup()
    told = [f"{file}: only in the record" for file in sorted(recorded.keys() - found.keys())]
    told += [f"{file}: not in the record" for file in sorted(found.keys() - recorded.keys())]
    for file in sorted(found.keys() & recorded.keys()):
        different = list(_different(file, found[file], recorded[file]))
        if to_the_byte and not different and found[file] != recorded[file]:
            different = ["other bytes, though no number differs by more than the tolerance"]
        told += (f"{file}: {line}" for line in different)
    return told


def _different(file: str, found: str, recorded: str) -> Iterator[str]:
    if file.endswith(".json"):
        yield from _different_values("", json.loads(found), json.loads(recorded))
        return
    rows, expected = (list(csv.reader(io.StringIO(text, newline=""))) for text in (found, recorded))
    header = expected[0]
    if "\r\n" in found or not found.endswith("\n"):
        yield "other ends of lines"
    if len(rows) != len(expected) or rows[0] != header:
        yield f"{len(rows)} rows of {rows[0]}, recorded {len(expected)} of {header}"
        return
    for number, (row, wanted) in enumerate(zip(rows, expected, strict=True), 1):
        if len(row) != len(wanted) or not all(map(_alike, row, wanted)):
            yield f"line {number}: {row}, recorded {wanted}"


def _alike(cell: str, recorded: str) -> bool:
    """Compare cells; those with a decimal point are distances, shares or scores, each written in one of three ways."""
    if "." not in recorded or cell == recorded:
        return cell == recorded
    try:
        found, wanted = float(cell), float(recorded)
    except ValueError:
        return False
    written_alike = any(write(found) == cell and write(wanted) == recorded for write in FORMATS)
    return written_alike and math.isclose(found, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _different_values(at: str, found: Any, recorded: Any) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(found, dict):
        if list(found) != list(recorded):
            changed = sorted(found.keys() ^ recorded.keys())
            yield f"{at}: keys {changed} are in one of both" if changed else f"{at}: another order of keys"
        for key in recorded.keys() & found.keys():
            yield from _different_values(f"{at}.{key}", found[key], recorded[key])
    elif isinstance(recorded, list) and isinstance(found, list) and len(found) == len(recorded):
        for place, (one, other) in enumerate(zip(found, recorded, strict=True)):
            yield from _different_values(f"{at}[{place}]", one, other)
    elif isinstance(recorded, float) and isinstance(found, float):
        if not math.isclose(found, recorded, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{at}: {found}, recorded {recorded}"
    elif found != recorded:
        yield f"{at}: {found!r}, recorded {recorded!r}"


def setup() -> dict[str, str]:
    """Return what decides the last digits of floating-point sums: the processor, and who computes on it."""
    libraries = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "opencv-python")
    return {"processor": _processor(), **{name: version(name) for name in libraries}}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in told.items()}
    threads = sum(line.startswith("processor") for line in lines)
    flags = hashlib.sha256(named.get("flags", "").encode()).hexdigest()[:8]
    return f"{named.get('model name', platform.processor())}, {threads} threads, flags {flags}"


def read_record(folder: Path) -> dict[str, str]:
    """Return the files of a record by their relative names."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode() for path in paths}
