"""Find the images that two runs share: copies and the same scenes, such as of a training set in a test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.curation.records import record_frame, record_texts
from imgcluster.curation.run_pictures import RunPictures
from imgcluster.curation.similar_pairs import BYTES, LEVELS, SCENE, Pair, Verifier, check_level, find_pairs
from imgcluster.errors import ConfigError
from imgcluster.runs import FinishedRun, find_features, read_run
from imgcluster.types import TextTable

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id_a", "path_a", "id_b", "path_b", "level", "similarity")
OTHER_FEATURES = (
    "the two runs have features of different settings, so they are compared by their pictures alone: copies are found, "
    "large crops may be missed"
)


@dataclass(frozen=True)
class Leak:
    """An image of each of two runs; level, similarity: as of `Pair`."""

    id_a: str
    path_a: str
    id_b: str
    path_b: str
    level: str
    similarity: float


@dataclass(frozen=True)
class Leaks:
    """The pairs of images that two runs share, the closest first.

    images_a, images_b: how many were compared. notes: on the comparison, for the reader.
    """

    pairs: list[Leak]
    images_a: int
    images_b: int
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return a row for each pair: id_a, path_a, id_b, path_b, level, similarity."""
        return record_frame(self.pairs, COLUMNS)

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        return record_texts(self.pairs, COLUMNS)

    def as_json(self) -> dict[str, Any]:
        """Return plain data: images_a, images_b, notes, and the pairs."""
        pairs = [{name: _rounded(getattr(pair, name)) for name in COLUMNS} for pair in self.pairs]
        return {"images_a": self.images_a, "images_b": self.images_b, "notes": self.notes, "pairs": pairs}


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def find_leaks(
    run_a: str | Path | FinishedRun, run_b: str | Path | FinishedRun, *, level: str = "same", show: bool = False
) -> Leaks:
    """Find the pairs of an image of one finished run and one of another that are the same picture, or of one scene.

    Args:
        run_a: the folder of a run, such as of a training set.
        run_b: that of another one, such as of the test set.
        level: as for `find_duplicates`; `scene` needs features of the same settings.
        show: whether to show progress.

    Raises:
        ConfigError: no such level, or scenes of runs with different features; StoreError, OutputError as
            `features_of_run`.
    """
    check_level(level)
    runs = [run if isinstance(run, FinishedRun) else read_run(run) for run in (run_a, run_b)]
    alike = _fingerprints(runs[0]) == _fingerprints(runs[1])
    if level == SCENE and not alike:
        raise ConfigError(
            "level: scene needs features of the same settings; run both configs with the same section `features`, or "
            "ask for level same"
        )
    found = [find_features(run) for run in runs]
    in_a, in_b = (each.count for each in found)
    notes = [] if alike or level == "exact" else [OTHER_FEATURES]
    if not (in_a and in_b):
        return Leaks([], in_a, in_b, notes)
    pictures, digests = RunPictures(runs, show=show), [digest for each in found for digest in each.digests()]
    vectors = np.concatenate([each.read() for each in found]) if alike else None
    verify = Verifier(vectors, pictures.signatures, digests, pictures, level)
    pairs = {(pair.first, pair.second): pair for pair in _equal_bytes(digests, in_a)}
    for pair in find_pairs(verify, np.arange(len(digests)), in_a):
        pairs.setdefault((pair.first, pair.second), pair)
    ids, paths = [], []
    for run, each in zip(runs, found, strict=True):
        ids += [row["id"] for row in each.rows]
        paths += [row["path"] for row in run.places.rows(each.rows)]
    ordered = sorted(pairs.values(), key=lambda pair: (LEVELS.index(pair.level), -pair.similarity, pair))
    leaks = [Leak(ids[one], paths[one], ids[two], paths[two], level, value) for one, two, level, value in ordered]
    return Leaks(leaks, in_a, in_b, notes)


def _fingerprints(run: FinishedRun) -> list[str]:
    return [str(origin.get("fingerprint")) for origin in run.record["features"]]


def _equal_bytes(digests: Sequence[str], split: int) -> list[Pair]:
    rows_of: dict[str, list[int]] = {}
    for row, digest in enumerate(digests[:split]):
        rows_of.setdefault(digest, []).append(row)
    return [
        Pair(first, second, BYTES, 1.0)
        for second, digest in enumerate(digests[split:], split)
        if digest
        for first in rows_of.get(digest, [])
    ]
