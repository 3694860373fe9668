"""What happens to features before they are clustered: each step is fitted by scikit-learn and kept as plain arrays.

A fitted step is applied by the same few lines of numpy when the clusters are made and when new images are placed into
them later, so that both see the same space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgcluster.errors import ClusteringError

State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Step:
    """fit: (features, parameter, random_state) -> arrays; apply: (features, arrays) -> features, both (n, dim)."""

    fit: Callable[[np.ndarray, Any, int], State]
    apply: Callable[[np.ndarray, State], np.ndarray]


def fit_transform(vectors: np.ndarray, steps: Sequence[Any], random_state: int) -> tuple[np.ndarray, State]:
    """Apply the steps of `clusters.transform` in order. Returns the new vectors and the arrays to do it again."""
    state: State = {"steps": np.array([_name(step) for step in steps], dtype=np.str_)}
    for number, step in enumerate(steps):
        name = _name(step)
        parameter = step[name] if not isinstance(step, str) else None
        fitted = STEPS[name].fit(vectors, parameter, random_state)
        state |= {f"{number}_{key}": value for key, value in fitted.items()}
        vectors = STEPS[name].apply(vectors, fitted)
    return vectors, state


def apply_transform(vectors: np.ndarray, state: State) -> np.ndarray:
    """Apply fitted steps, as `fit_transform` returned them, to other vectors."""
    for number, name in enumerate(state["steps"]):
        prefix = f"{number}_"
        fitted = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        vectors = STEPS[str(name)].apply(vectors, fitted)
    return vectors


def _name(step: Any) -> str:
    return step if isinstance(step, str) else str(next(iter(step)))


def _fit_nothing(vectors: np.ndarray, parameter: Any, random_state: int) -> State:
    return {}


def join_blocks(blocks: list[np.ndarray], l2: bool, weights: Sequence[float] | None) -> np.ndarray:
    """Join the features of several layers side by side: each (n, dim) given the length 1 and its factor if asked for.

    Weights for another number of blocks are left out: they were meant for the backbone that a fallback stands in for.
    """
    if l2:
        blocks = [unit_length(block) for block in blocks]
    if weights is not None and len(weights) == len(blocks):
        blocks = [block * np.float32(weight) for block, weight in zip(blocks, weights, strict=True)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale each row of (n, dim) to the Euclidean length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _fit_standardize(vectors: np.ndarray, parameter: Any, random_state: int) -> State:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(vectors)
    return {"mean": scaler.mean_.astype(np.float32), "scale": scaler.scale_.astype(np.float32)}


def _standardize(vectors: np.ndarray, state: State) -> np.ndarray:
    return np.asarray((vectors - state["mean"]) / state["scale"], dtype=np.float32)


def _fit_pca(vectors: np.ndarray, parameter: int | float, random_state: int) -> State:
    from sklearn.decomposition import PCA

    most = min(vectors.shape)
    if isinstance(parameter, int) and parameter > most:
        raise ClusteringError(
            f"clusters.transform: pca: {parameter} is more than {vectors.shape[0]:,} images of {vectors.shape[1]:,} "
            f"values allow; at most {most}"
        )
    # The exact solver: the quicker randomized one gives other clusters on another machine.
    pca = PCA(n_components=parameter, svd_solver="full", random_state=random_state).fit(vectors)
    return {"mean": pca.mean_.astype(np.float32), "components": pca.components_.astype(np.float32)}


def _pca(vectors: np.ndarray, state: State) -> np.ndarray:
    return np.asarray((vectors - state["mean"]) @ state["components"].T, dtype=np.float32)


STEPS = {
    "l2": Step(_fit_nothing, lambda vectors, _: unit_length(vectors)),
    "standardize": Step(_fit_standardize, _standardize),
    "pca": Step(_fit_pca, _pca),
}
