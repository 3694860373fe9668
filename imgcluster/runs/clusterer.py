"""The fitted clusters of a run, clusterer.npz: plain arrays, and no pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imgcluster.config import RunFiles
from imgcluster.errors import OutputError
from imgcluster.features import STEPS, State

KEYS = {"centroids", "reach", "method", "steps"}


def read_clusterer(run_folder: Path) -> State:
    """Return the arrays of clusterer.npz. Raises OutputError: none there, damaged, of an older version."""
    path = run_folder / RunFiles.CLUSTERER
    try:
        with np.load(path, allow_pickle=False) as arrays:
            state = dict(arrays)
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(f"{str(run_folder)!r} has no {path.name}: it is not the folder of a finished run") from None
    except Exception as error:  # numpy raises whatever the damaged bytes happen to make it do
        raise OutputError(f"{str(path)!r} is damaged ({error}); run its config again") from None
    if not state.keys() >= KEYS:
        raise OutputError(f"{str(path)!r} comes from an older imgcluster; run its config again")
    if problem := _problem(state):
        raise OutputError(f"{str(path)!r} is damaged: {problem}; run its config again")
    return state


def _problem(state: State) -> str | None:
    """Return what is impossible in a clusterer; None where nothing is."""
    centroids, reach = state["centroids"], state["reach"]
    unknown = [str(step) for step in state["steps"].ravel() if str(step) not in STEPS]
    is_matrix = centroids.ndim == 2 and centroids.dtype.kind == "f"
    if not is_matrix or (len(centroids) and not np.isfinite(centroids).all(axis=1).any()):  # where all is noise: none
        return "its centroids are no numbers"
    if reach.shape != centroids.shape[:1] or reach.dtype.kind != "f":
        return "a reach for each centroid is missing"
    return f"there is no step {unknown[0]!r}" if unknown else None
