"""A store, run folders, a model and exports as older code left them: how they were made, and all that reads them.

They are kept as one archive, since what the journals of exports say holds for files with their times.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .cases import HERE, Imgcluster, as_json, of_record

ARCHIVE = HERE / "old.tar.gz"
SOMEWHERE = "/golden"  # stands for the folder in what holds absolute paths
WITH_PATHS = ("store/*/index-*.json", "*/.imgcluster-journal.jsonl")

CONFIG = """\
images: {folder: images, ids: template.csv, file: "{id}.png"}
features:
  {backbone: efficientnet_lite0, device: cpu, precision: fp32, runtime: torch, store: store}
clusters: {method: kmeans, n_clusters: 3, transform: [l2, {pca: 4}], numbering: size}
outputs: {folder: run, report: false}
"""
LOOSE = (
    *("images.folder=loose", "images.ids=null", "outputs.folder=run-loose", "outputs.submission=null"),
    *("clusters.n_clusters=2", "clusters.transform=[]"),
)


def _sets(*settings: str) -> tuple[str, ...]:
    return tuple(word for setting in settings for word in ("--set", setting))


# The commands that made it, in a folder with config.yaml, template.csv, truth.csv, images, loose.
MADE: tuple[tuple[str, ...], ...] = (
    ("run", "config.yaml"),
    ("run", "config.yaml", *_sets("outputs.folder=run-auto", "clusters.method=auto", "clusters.transform=[]")),
    ("run", "config.yaml", *_sets(*LOOSE)),
    ("report", "run"),  # it puts into the store what it takes names from
    ("learn", "run", "truth.csv", "--out", "model"),
    ("export-folders", "run", "copied", "--copy"),
    ("export-folders", "run-loose", "moved", "--move"),
)

# The commands that read it, in an order in which each finds what it needs; what they write is compared.
TABLES: tuple[tuple[str, ...], ...] = (
    ("assign", "run", "new", "--out", "read/assigned.csv"),
    ("assign", "run-auto", "new", "--out", "read/assigned-auto.csv"),
    ("predict", "model", "new", "--out", "read/predicted.csv"),
    ("predict", "model", "images", "--template", "template.csv", "--out", "read/filled.csv"),
    ("spread", "run", "few.csv", "--out", "read/spread.csv"),
    ("suggest", "run", "-n", "4", "--out", "read/suggested.csv"),
    ("sweep", "config.yaml", "--k", "2..5", "--out", "read/sweep"),
    ("export", "run", "read/features.csv", "--format", "csv"),
    ("export", "run", "read/features.npz", "--format", "npz"),
)
PRINTED = {
    "show": ("show", "run", "--json"),
    "show-auto": ("show", "run-auto", "--json"),
    "score": ("score", "run", "truth.csv", "--json"),
    "score-by-shape": ("score", "run-auto", "--json"),
}


def unpack(folder: Path) -> None:
    """Put all of it into a folder, as if it had been made there."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    say_where(folder, SOMEWHERE, str(folder))


def say_where(folder: Path, old: str, new: str) -> None:
    for path in _all(folder, WITH_PATHS):
        path.write_bytes(path.read_bytes().replace(f'"{old}/'.encode(), f'"{new}/'.encode()))


def _all(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def read_all(folder: Path, imgcluster: Imgcluster) -> dict[str, str]:
    """Read it by every command; return what they write and print, as the files of a record."""
    files = {f"{name}.json": imgcluster(*words) for name, words in PRINTED.items()}
    (folder / "read").mkdir()
    for words in TABLES:
        imgcluster(*words)
    (folder / "read" / "features.csv").rename(folder / "features.csv")
    for path in sorted((folder / "read").rglob("*.csv")):
        files[path.relative_to(folder / "read").as_posix()] = path.read_bytes().decode()
    files["exported.json"] = as_json(_exported(folder))
    imgcluster("validate", "run/submission.csv", "template.csv")
    imgcluster("report", "run", "--quiet")
    files["report.json"] = as_json(_report(folder / "run" / "report"))
    return {**files, **run_again(folder, imgcluster)}


def run_again(folder: Path, imgcluster: Imgcluster) -> dict[str, str]:
    """Make the runs anew over the old store, in their folders and in another."""
    files = {}
    for run, sets in (("run", ()), ("again", ("outputs.folder=again",))):
        imgcluster("run", "config.yaml", *_sets(*sets), "--quiet")
        record = of_record(json.loads((folder / run / "run.json").read_bytes()))
        files[f"{run}/run.json"] = as_json(record)
        for table in ("clusters.csv", "submission.csv"):
            files[f"{run}/{table}"] = (folder / run / table).read_bytes().decode()
    return files


def undo_all(folder: Path, imgcluster: Imgcluster) -> dict[str, str]:
    """Take the exports back; return the files that lie where they were exported from, and to."""
    imgcluster("export-folders", "run", "copied", "--undo", "--quiet")
    imgcluster("export-folders", "run-loose", "moved", "--undo", "--quiet")
    return {"files.json": as_json(names_in(folder, "images", "loose", "copied", "moved"))}


def names_in(folder: Path, *folders: str) -> list[str]:
    """Return the relative names of the files below some folders, hidden ones left out, each with its digest."""
    paths = [path for name in folders for path in sorted((folder / name).rglob("*")) if path.is_file()]
    shown = (path for path in paths if not path.name.startswith("."))
    return [
        f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" for path in shown
    ]


def _exported(folder: Path) -> dict[str, object]:
    with np.load(folder / "read" / "features.npz") as arrays:
        described: dict[str, object] = {
            name: [str(array.dtype.kind), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
            for name, array in arrays.items()
        }
    rows = (folder / "features.csv").read_bytes()
    return {**described, "features.csv": hashlib.sha256(rows).hexdigest()}


def _report(folder: Path) -> list[str]:
    """Return the names of a report's files; thumbnails are named by their content, and stand for one name."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return sorted({"t/" if name.startswith("t/") else name for name in names})
