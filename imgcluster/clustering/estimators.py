"""The clustering methods: their parameters checked, an estimator of scikit-learn fitted."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.assign_rules import Rule, rule_of
from imgcluster.clustering.diffusion import DiffusionClustering
from imgcluster.clustering.memory import check_memory
from imgcluster.config import ALL, AUTO, DIFFUSION, METHODS, WEIGHTED, ClustersConfig
from imgcluster.errors import ClusteringError, ConfigError, first_line
from imgcluster.features import Copies
from imgcluster.types import NOISE
from imgcluster.utils import OPENMP_THREADS, installed, remembered

NEIGHBOURS_SHARE = 0.9  # of the points are within `eps` of as many neighbours as make them no noise
SMALLEST = 0.2
SAMPLE = 5000
SPECTRAL_NEIGHBOURS = 10  # scikit-learn's default
PACKAGES = ("imgcluster", "scikit-learn", "umap-learn")  # of the estimators
ABOUT = {"n_init", "random_state"}  # parameters that are keys of the section itself


@dataclass(frozen=True)
class Fitted:
    """labels: (n,) int64, those of noise -1; the others count from 0, none left out.

    rule: the arrays by which `place` gives new points their labels; empty where the method knows of no new ones.
    probabilities: (n, n_clusters) float64, of methods that have them.
    """

    labels: np.ndarray
    rule: Rule = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def check_parameters(config: ClustersConfig) -> None:
    """Raise ConfigError where `clusters.parameters` are not the estimator's, or have values that it refuses.

    What an earlier process has found right is not checked again: that would import scikit-learn.
    """
    versions = {package: installed(package) for package in PACKAGES}
    settings = config.model_dump(mode="json", include={"method", "parameters", *ABOUT})
    remembered(["parameters", settings, versions], lambda: _check_parameters(config))


def _check_parameters(config: ClustersConfig) -> Literal[True]:
    method = METHODS[config.method]
    known = _parameters_of(config.method)
    allowed = [name for name in known if name != method.k and name not in ABOUT]
    for name in config.parameters:
        if name in known and name not in allowed:
            key = "n_clusters" if name == method.k else name
            raise ConfigError(f"clusters.parameters: {name!r} is said by clusters.{key}")
        if name not in known:
            near = get_close_matches(name, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"clusters.parameters: {config.method} has no {name!r}{hint} (allowed: {', '.join(allowed)})"
            )
    estimator = build(config, 2)
    try:
        getattr(estimator, "_validate_params", lambda: None)()  # else told when it is fitted
    except ValueError as error:
        raise ConfigError(f"clusters.parameters: {first_line(error)}") from None
    return True


def build(config: ClustersConfig, n_clusters: int | None, **found: Any) -> Any:
    """Return the estimator of a config; `found`: parameters worked out from the points."""
    method = METHODS[config.method]
    module, _, name = method.estimator.rpartition(".")
    known = _parameters_of(config.method)
    parameters = {**method.parameters, **found, **config.parameters}
    if method.k is not None:
        parameters[method.k] = n_clusters
    parameters |= {name: getattr(config, name) for name in ABOUT if name in known}
    return getattr(import_module(module), name)(**parameters)


def shared_estimator(config: ClustersConfig) -> DiffusionClustering | None:
    """Return what computes neighbours and eigenvectors once for all numbers of clusters of the same points, or None."""
    return build(config, None) if config.method in (AUTO, DIFFUSION) else None


def fit(
    points: np.ndarray,
    config: ClustersConfig,
    n_clusters: int | None,
    copies: Copies | None = None,
    *,
    shared: DiffusionClustering | None = None,
    show: bool = False,
) -> Fitted:
    """Fit a method to points, (n, dim) float32. The same points give the same labels on the same machine.

    copies: which of the points are equal, where any are; they get the same label. shared: of `shared_estimator`, where
    the same points are fitted more than once.
    Raises ClusteringError: too little memory, parameters that do not suit these points.
    """
    distinct = points if copies is None else points[copies.first]
    given = _given(points, config.method, copies)
    weights = None if copies is None or METHODS[config.method].copies != WEIGHTED else copies.counts
    with threadpool_limits(OPENMP_THREADS, user_api="openmp"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = FOUND.get(config.method, _nothing)(distinct, config)
            estimator = shared or build(config, n_clusters, **found)
            check_memory(config, len(given), given, **found)
            if isinstance(estimator, DiffusionClustering):
                labels = estimator.labels(given, config.k, weights, show=show)
            else:
                labels = estimator.fit_predict(given, **({} if weights is None else {"sample_weight": weights}))
        except (ValueError, np.linalg.LinAlgError) as error:
            raise ClusteringError(f"clusters.method: {config.method}: {first_line(error)}") from None
    notes = [f"{config.method}: {name} {value:.4g}, {OF[name]}" for name, value in found.items()]
    notes += sorted({f"{config.method}: {first_line(warning.message)}" for warning in told})
    proba = getattr(estimator, "predict_proba", None)
    fitted = Fitted(
        np.asarray(labels, dtype=np.int64),
        rule_of(config.method, estimator),
        None if proba is None else proba(given),
        notes,
    )
    return _renumbered(fitted if copies is None else _of_all(fitted, copies))


def _given(points: np.ndarray, method: str, copies: Copies | None) -> np.ndarray:
    """Return what a method is fitted to; copies in float64: in float32 their mean and variance are rounded too much."""
    if copies is None:
        return points
    return points.astype(np.float64) if METHODS[method].copies == ALL else points[copies.first]


def _of_all(fitted: Fitted, copies: Copies) -> Fitted:
    """Give all points the labels of the distinct ones, or of most of their copies where all were fitted."""
    if len(fitted.labels) == len(copies.place):
        return replace(fitted, labels=copies.most_common(fitted.labels))
    probabilities = fitted.probabilities
    return replace(
        fitted,
        labels=fitted.labels[copies.place],
        probabilities=None if probabilities is None else probabilities[copies.place],
    )


# What is worked out from the points where a config leaves it open.


def _nothing(points: np.ndarray, config: ClustersConfig) -> dict[str, Any]:
    return {}


def _eps(points: np.ndarray, config: ClustersConfig) -> dict[str, Any]:
    """A radius within which nine of ten points have the neighbours they need: scikit-learn's 0.5 fits no features."""
    from sklearn.neighbors import NearestNeighbors

    if "eps" in config.parameters:
        return {}
    wanted = int(config.parameters.get("min_samples") or 5)
    rows = np.random.default_rng(config.random_state).permutation(len(points))[:SAMPLE]
    nearest = NearestNeighbors(
        n_neighbors=min(wanted, len(points)), metric=config.parameters.get("metric", "euclidean")
    ).fit(points)
    radii = nearest.kneighbors(points[np.sort(rows)])[0][:, -1]
    return {"eps": max(float(np.quantile(radii, NEIGHBOURS_SHARE)), np.finfo(np.float32).eps)}


def _bandwidth(points: np.ndarray, config: ClustersConfig) -> dict[str, Any]:
    """A width that tells clusters of a fifth of the images apart; scikit-learn's are of a third and more."""
    from sklearn.cluster import estimate_bandwidth

    if config.parameters.get("bandwidth") is not None:
        return {}
    share = {"quantile": SMALLEST, "n_samples": min(SAMPLE, len(points)), "random_state": config.random_state}
    return {"bandwidth": max(float(estimate_bandwidth(points, **share)), float(np.finfo(np.float32).eps))}


def _neighbours(points: np.ndarray, config: ClustersConfig) -> dict[str, Any]:
    """As many neighbours as there are distinct points, where scikit-learn's ten are more."""
    most = min(SPECTRAL_NEIGHBOURS, len(points))
    return {} if "n_neighbors" in config.parameters or most == SPECTRAL_NEIGHBOURS else {"n_neighbors": most}


FOUND: dict[str, Callable[[np.ndarray, ClustersConfig], dict[str, Any]]] = {
    "dbscan": _eps,
    "mean_shift": _bandwidth,
    "spectral": _neighbours,
}

OF = {  # what is worked out of what
    "eps": "from the distances between neighbours",
    "bandwidth": "from the distances between neighbours",
    "n_neighbors": "as many as there are distinct images",
}


def _renumbered(fitted: Fitted) -> Fitted:
    """Count the labels that points have from 0 on, none left out; those of a rule that no point has come after them."""
    placed = fitted.rule.get("labels", np.empty(0, np.int64))
    used, all_labels = (set(labels.tolist()) - {NOISE} for labels in (fitted.labels, np.append(placed, fitted.labels)))
    order = [*sorted(used), *sorted(all_labels - used)]
    number = {old: new for new, old in enumerate(order)} | {NOISE: NOISE}

    def renumber(labels: np.ndarray) -> np.ndarray:
        return np.array([number[label] for label in labels.tolist()], np.int64)

    rule = {**fitted.rule, "labels": renumber(placed)} if fitted.rule and used else {}
    probabilities = fitted.probabilities
    if probabilities is not None:
        probabilities = probabilities[:, sorted(used)]
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return replace(fitted, labels=renumber(fitted.labels), rule=rule, probabilities=probabilities)


def _parameters_of(method: str) -> list[str]:
    module, _, name = METHODS[method].estimator.rpartition(".")
    return list(inspect.signature(getattr(import_module(module), name)).parameters)
