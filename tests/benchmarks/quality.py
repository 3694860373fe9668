"""Quality measures against CleanVision: how well photographs degraded on purpose come first, and what it costs.

CleanVision is taken from the environment of IMGCLUSTER_CLEANVISION, a Python that has it, or from this one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from imgcluster import write_sample
from imgcluster.curation import Quality
from imgcluster.images import MEASURES, decode_picture, jpeg, measure
from tests.benchmarks.degrade import KINDS, STRENGTHS
from tests.benchmarks.rows import Row

PHOTOGRAPHS = {False: 40, True: 10}  # by --quick
QUALITY = 92  # of JPEG
ONE_OF = 4  # photographs is degraded at each strength, so that a set is not odd as a whole
EXTRA_PHOTOGRAPHS = "IMGCLUSTER_PHOTOGRAPHS"  # a folder with more than the sample's, at any depth
# By our kind, what CleanVision calls it.
THEIRS = {
    "dark": "dark",
    "bright": "light",
    "blurred": "blurry",
    "low_information": "low_information",
    "odd_size": "odd_size",
    "odd_shape": "odd_aspect_ratio",
    "grey": "grayscale",
}
SCRIPT = """
import json, sys, time
from cleanvision import Imagelab
sets, kinds, out = json.load(sys.stdin)
scores, seconds, images = {}, 0.0, 0
for name, files in sets.items():
    lab, started = Imagelab(filepaths=files), time.process_time()
    lab.find_issues({kind: {} for kind in kinds}, n_jobs=1, verbose=False)
    seconds += time.process_time() - started
    images += len(files)
    column = kinds[[*sets].index(name) // 5] + "_score"
    scores[name] = {file: float(score) for file, score in lab.issues[column].items()}
json.dump({"scores": scores, "ms": 1000 * seconds / images}, open(out, "w"))
"""


def quality(quick: bool) -> Iterator[Row]:
    """Area under the ROC curve of each kind, the mean of five strengths, and CPU time for each image."""
    python = os.environ.get("IMGCLUSTER_CLEANVISION") or (sys.executable if find_spec("cleanvision") else "")
    if not python:
        yield Row("quality", "against CleanVision: skipped, it is not installed (IMGCLUSTER_CLEANVISION)")
        return
    with TemporaryDirectory() as own:
        folder = Path(own)
        sets = _sets(folder, _photographs(folder / "sample", PHOTOGRAPHS[quick]))
        ours, spent = _ours(sorted({file for files in sets.values() for file in files}))
        theirs = _theirs(python, sets, folder / "theirs.json")
        for kind in KINDS:
            pairs = [_areas(kind, sets[name], ours, theirs["scores"][name]) for name in _names(kind)]
            mine, other = np.mean(pairs, axis=0)
            yield Row("quality", f"AUROC {kind}", f"{mine:.3f}", f"{other:.3f}", f"{mine / other:.2f}", ">= 1")
        added, whole = spent
        ratio = f"{theirs['ms'] / added:.0f}"
        yield Row(
            "quality", "CPU per image, beside features", f"{added:.2f} ms", f"{theirs['ms']:.2f} ms", ratio, ">= 10"
        )
        yield Row("quality", "CPU per image, with decoding", f"{whole:.2f} ms", f"{theirs['ms']:.2f} ms")


def _photographs(sample: Path, count: int) -> list[np.ndarray]:
    """Return one crop of each photograph of the sample, and pictures of a folder of more, drawn by a seed."""
    write_sample("photos", sample)
    rows = [line.split(",") for line in (sample / "truth.csv").read_text().splitlines()[1:]]
    first = {label: sample / "test" / f"{name}.jpg" for name, label, *_ in reversed(rows)}
    more = os.environ.get(EXTRA_PHOTOGRAPHS)
    others = sorted(Path(more).rglob("*.[jJ][pP]*[gG]") if more else (sample / "test").iterdir())
    random.Random(3).shuffle(others)
    found: list[np.ndarray] = []
    for path in (*first.values(), *others):
        pixels = decode_picture(path.read_bytes()).pixels
        if min(pixels.shape[:2]) >= 200:
            found.append(pixels)
        if len(found) == count:
            break
    return found


def _names(kind: str) -> list[str]:
    return [f"{kind}-{strength}" for strength in range(STRENGTHS)]


def _sets(folder: Path, photographs: list[np.ndarray]) -> dict[str, list[str]]:
    """Write the photographs, and those degraded; return the files of a set for each kind and strength."""
    clean = [_written(folder / f"clean-{number:02d}.jpg", pixels) for number, pixels in enumerate(photographs)]
    sets = {}
    for kind, degrade in KINDS.items():
        for strength, name in enumerate(_names(kind)):
            chosen = [at for at in range(len(photographs)) if (at + strength) % ONE_OF == 0]
            bad = [_written(folder / f"{name}-{at:02d}.jpg", degrade(photographs[at], strength)) for at in chosen]
            sets[name] = [*clean, *bad]
    return sets


def _written(path: Path, pixels: np.ndarray) -> str:
    path.write_bytes(jpeg(np.ascontiguousarray(pixels), QUALITY))
    return str(path)


def _ours(files: list[str]) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    """Return the record of each file, and the CPU milliseconds for each of measuring, and with decoding."""
    cv2.setNumThreads(1)
    records, measuring, started = {}, 0.0, time.process_time()
    for file in files:
        data = Path(file).read_bytes()
        picture = decode_picture(data)
        before = time.process_time()
        records[file] = measure(picture.pixels, data, picture.transparency)
        measuring += time.process_time() - before
    return records, (1000 * measuring / len(files), 1000 * (time.process_time() - started) / len(files))


def _theirs(python: str, sets: Mapping[str, list[str]], out: Path) -> dict[str, Any]:
    given = json.dumps([sets, list(THEIRS.values()), str(out)])
    subprocess.run([python, "-c", SCRIPT], input=given, text=True, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _areas(
    kind: str, files: list[str], ours: Mapping[str, np.ndarray], theirs: Mapping[str, float]
) -> tuple[float, float]:
    """Return the area under the ROC curve of ours, and of theirs, for the degraded files among all."""
    is_bad = [Path(file).name.startswith(kind) for file in files]
    records = np.array([ours[file] for file in files])
    side = np.sqrt(records["width"].astype(float) * records["height"])
    values = {name: records[name].astype(float) for name in MEASURES}
    values |= {"aspect": records["width"] / records["height"], "relative_size": side / np.median(side)}
    found = Quality([], [], values, []).badness(kind)
    worst_last = np.nan_to_num(found, nan=np.nanmin(found))
    return float(roc_auc_score(is_bad, worst_last)), float(roc_auc_score(is_bad, [-theirs[file] for file in files]))
