"""What clustering found, kept under the cache folder: found there again where only names and numbers change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.clustering.distances import Nearest
from imgcluster.clustering.grouping import Groups
from imgcluster.config import ClustersConfig
from imgcluster.features import State, StoredVectors
from imgcluster.types import ChosenNumber, Hierarchy
from imgcluster.utils import digest_arrays, installed, kept_file, kept_path

FORMAT = 4  # of what is kept: raise it when clusters are found in another way
PACKAGES = ("imgcluster", "numpy", "scipy", "scikit-learn", "umap-learn", "torch", "dask", "dask-ml")
ABOUT = "about"  # the name of the array that holds all that is no array, as JSON
GROUPS, STATE, NEAREST, HIERARCHY = "groups", "state", "nearest", "hierarchy"
PROBABILITY = "probability"


@dataclass(frozen=True)
class Fitted:
    """All that clustering works out before the clusters get their numbers.

    state: of the fitted steps. nearest: distances, runners-up and theirs, as `nearest_two` returns them. hierarchy:
    where the config has one. probability: as of `Clusters`.
    """

    groups: Groups
    state: State
    nearest: Nearest
    hierarchy: Hierarchy | None = None
    probability: np.ndarray | None = None


class KeptClusters:
    """The clusters of some vectors, by all that they depend on: the vectors, the config, and versions.

    starts: as of `Points`, where the order of the vectors matters.
    """

    def __init__(self, vectors: np.ndarray | StoredVectors, starts: np.ndarray | None = None) -> None:
        self._vectors, self._starts = vectors, starts
        self._count = vectors.count if isinstance(vectors, StoredVectors) else len(vectors)

    def choice(self, config: ClustersConfig, ks: Sequence[int], make: Callable[[], ChosenNumber]) -> ChosenNumber:
        """Return the number of clusters that was chosen of a range, or choose it and keep that."""
        path = self._path(config.model_copy(update={"hierarchy": False}), [ks[0], ks[-1]], ".json")
        return kept_file(path, make, _choice_of, lambda found: json.dumps(vars(found)).encode())

    def fitted(self, config: ClustersConfig, make: Callable[[], Fitted]) -> Fitted:
        """Return what was found by a config, whatever its numbering, or find it and keep that."""
        path = self._path(config, config.n_clusters, ".npz")
        return kept_file(path, make, self._fitted_of, _packed)

    def _path(self, config: ClustersConfig, n_clusters: Any, ending: str) -> Path | None:
        if isinstance(self._vectors, StoredVectors) and not self._vectors.content:
            return None
        settings = {**config.model_dump(mode="json"), "n_clusters": n_clusters, "numbering": None}
        settings["hierarchy"] = config.has_hierarchy
        if self._starts is not None and len(self._starts):
            settings["starts"] = self._starts.tolist()
        versions = {package: installed(package) for package in PACKAGES}
        key = json.dumps([FORMAT, self._digest, settings, versions], sort_keys=True)
        return kept_path("clusters", f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{ending}")

    @cached_property
    def _digest(self) -> str:
        vectors = self._vectors
        if isinstance(vectors, StoredVectors):
            return f"stored {vectors.content}"
        return digest_arrays("vectors", {"vectors": vectors})

    def _fitted_of(self, data: bytes) -> Fitted:
        """Return what `_packed` made bytes of. Raises whatever damaged bytes make it raise."""
        with np.load(BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        told = json.loads(str(arrays.pop(ABOUT)))
        parts: dict[str, dict[str, Any]] = {GROUPS: {name: {} for name in told["dicts"]}, STATE: {}, NEAREST: {}}
        parts[HIERARCHY] = {}
        for name, array in arrays.items():
            part, *path = name.split("/", 2)
            if len(path) == 1:
                parts[part][path[0]] = array
            else:
                parts[part][path[0]][path[1]] = array
        groups = Groups(**parts[GROUPS], **told["others"])
        distance, runner_up, runner_up_distance = (parts[NEAREST][str(number)] for number in range(3))
        if not len(groups.labels) == len(distance) == len(runner_up) == self._count:
            raise ValueError("not of these vectors")
        probability = parts[NEAREST].pop(PROBABILITY, None)
        levels = parts[HIERARCHY]
        hierarchy = Hierarchy(**levels, n_clusters=told[HIERARCHY]) if levels else None
        return Fitted(groups, parts[STATE], (distance, runner_up, runner_up_distance), hierarchy, probability)


class NothingKept(KeptClusters):
    """Keeps nothing: everything is worked out."""

    def __init__(self) -> None:
        super().__init__(np.empty((0, 0)))

    def _path(self, config: ClustersConfig, n_clusters: Any, ending: str) -> Path | None:
        return None


def _choice_of(data: bytes) -> ChosenNumber:
    found = ChosenNumber(**json.loads(data))
    if not (isinstance(found.n_clusters, int) and isinstance(found.reason, str)):
        raise ValueError("no choice")
    return replace(found, scores={int(k): float(score) for k, score in found.scores.items()})


def _packed(fitted: Fitted) -> bytes | None:
    """Return all of it as one file of numpy's, the arrays in their order; None where something is no plain array."""
    arrays: dict[str, np.ndarray] = {}
    told: dict[str, Any] = {"dicts": [], "others": {}}
    for field in fields(Groups):
        value = getattr(fitted.groups, field.name)
        if isinstance(value, np.ndarray):
            arrays[f"{GROUPS}/{field.name}"] = value
        elif isinstance(value, dict):
            told["dicts"].append(field.name)
            arrays |= {f"{GROUPS}/{field.name}/{name}": each for name, each in value.items()}
        else:
            told["others"][field.name] = value
    arrays |= {f"{STATE}/{name}": value for name, value in fitted.state.items()}
    arrays |= {f"{NEAREST}/{number}": value for number, value in enumerate(fitted.nearest)}
    if fitted.probability is not None:
        arrays[f"{NEAREST}/{PROBABILITY}"] = fitted.probability
    if fitted.hierarchy is not None:
        levels = vars(fitted.hierarchy)
        told[HIERARCHY] = levels["n_clusters"]
        arrays |= {f"{HIERARCHY}/{name}": value for name, value in levels.items() if isinstance(value, np.ndarray)}
    if any(np.asarray(value).dtype.hasobject for value in arrays.values()):
        return None
    file = BytesIO()
    np.savez(file, **{ABOUT: np.array(json.dumps(told))}, **arrays)  # type: ignore[arg-type]  # no array is a flag
    return file.getvalue()
