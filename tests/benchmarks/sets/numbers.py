"""Rules for the number of clusters: `python -m tests.benchmarks.sets.numbers FOLDER [--aside]` prints a table.

FOLDER has files NAME.npz with the arrays lite0, the features, and labels. On sets, on parts of 4 and of 7 of their
classes, and on pairs of sets: nearly all sets have 10 to 16 classes, and a rule that says 12 would look good on them
alone. Without `--aside`, the sets that are kept aside are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score, silhouette_score

from imgcluster.clustering import Graph, neighbour_graph
from imgcluster.clustering.cluster import transform_steps
from imgcluster.clustering.graph import modularity
from imgcluster.clustering.n_clusters import group_each
from imgcluster.config.loader import ClustersConfig
from imgcluster.features import Points, fit_steps
from tests.benchmarks.sets.table import kept_aside, labelled_sets

PARTS = (4, 7)  # classes
MOST, MOST_OF_PAIRS = 20, 40  # clusters tried
FACTOR = 1.25
LINKS = 4.0  # what a weight of 1 counts for in the likelihood of a planted partition


@dataclass(frozen=True)
class Clustered:
    """Points of a set, their graph, and the clusters, (n,) int64, by number."""

    points: np.ndarray
    graph: Graph
    labels: dict[int, np.ndarray]
    truth: np.ndarray

    def links(self, k: int) -> np.ndarray:
        """Return the weights between clusters, (k, k), without those of points to themselves."""
        links = self.graph.tocoo()
        others, labels = links.row != links.col, self.labels[k]
        places = labels[links.row[others]] * k + labels[links.col[others]]
        return np.bincount(places, links.data[others], k * k).reshape(k, k)


def main() -> None:
    """Print each rule's share within the factor, mean |log2| of the ratio and loss of ARI, by kind of task."""
    folder, aside = Path(sys.argv[1]), "--aside" in sys.argv[2:]
    hidden = kept_aside(labelled_sets())
    names = [path.stem for path in sorted(folder.glob("*.npz")) if (path.stem in hidden) == aside]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for kind, vectors, truth in _tasks(folder, names):
        clustered = _clustered(vectors, truth, MOST_OF_PAIRS if kind == "pairs" else MOST)
        k = int(truth.max()) + 1
        known = adjusted_rand_score(clustered.truth, clustered.labels[k])
        for rule, choose in RULES.items():
            chosen = choose(clustered)
            lost = adjusted_rand_score(clustered.truth, clustered.labels[chosen]) - known
            found.setdefault(rule, {}).setdefault(kind, []).append((float(np.log2(chosen / k)), lost))
    kinds = list(found["modularity"])
    print(f"| rule | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for rule, of_kind in found.items():
        print(f"| {rule} | {' | '.join(_cell(np.array(of_kind[kind])) for kind in kinds)} |", flush=True)


def _cell(rows: np.ndarray) -> str:
    ratios, lost = np.abs(rows[:, 0]), rows[:, 1].mean()
    return f"{(ratios <= np.log2(FACTOR) + 1e-9).mean():.2f}, {ratios.mean():.2f}, {lost:+.3f}"


def _tasks(folder: Path, names: list[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield kinds, features, (n, dim), and classes, (n,) int64."""
    draw = np.random.default_rng(0)
    sets = {name: _loaded(folder / f"{name}.npz") for name in names}
    for vectors, classes in sets.values():
        yield "sets", vectors, classes
        for count in PARTS:
            if count <= classes.max():
                kept = np.isin(classes, draw.permutation(int(classes.max()) + 1)[:count])
                yield f"{count} classes", vectors[kept], np.unique(classes[kept], return_inverse=True)[1]
    order = draw.permutation(names)
    for one, other in zip(order[::2], order[1::2], strict=False):
        (vectors, classes), (more, others) = sets[one], sets[other]
        yield "pairs", np.concatenate([vectors, more]), np.concatenate([classes, others + classes.max() + 1])


def _loaded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        return file["lite0"], np.unique(file["labels"], return_inverse=True)[1]


def _clustered(vectors: np.ndarray, truth: np.ndarray, most: int) -> Clustered:
    config = ClustersConfig(n_clusters="auto")
    points, _ = fit_steps(vectors, transform_steps(config, *vectors.shape), config.random_state)
    labels = dict(group_each(points, config, range(2, most + 1), show=False))
    distinct = Points(points.array()).copies.first
    some = points.array()[distinct]
    return Clustered(some, neighbour_graph(some), {k: of[distinct] for k, of in labels.items()}, truth[distinct])


def _best(score: Callable[[Clustered, int], float]) -> Callable[[Clustered], int]:
    return lambda clustered: max(clustered.labels, key=lambda k: (round(score(clustered, k), 6), -k))


def _planted_likelihood(clustered: Clustered, k: int) -> float:
    """The log-likelihood of links that differ only inside and between clusters: Newman, PRE 94, 2016."""
    links = clustered.links(k)
    total, inside = links.sum(), np.trace(links)
    expected = np.square(links.sum(axis=1)).sum() / total
    pairs = ((inside, expected), (total - inside, total - expected))
    return float(sum(weight * np.log(weight / chance) for weight, chance in pairs if weight > 0) / 2)


def _planted_length(clustered: Clustered, k: int) -> float:
    """Minus the description length of links and clusters: Zhang and Peixoto, PRR 2, 2020."""
    shares = np.bincount(clustered.labels[k]) / len(clustered.points)
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum() * len(clustered.points)
    return float(LINKS * _planted_likelihood(clustered, k) - entropy)


def _block_bic(clustered: Clustered, k: int) -> float:
    """Minus the Bayesian information criterion of the degree-corrected block model: Karrer and Newman, PRE 83, 2011."""
    links = clustered.links(k)
    degrees, total = links.sum(axis=1), links.sum()
    there = links > 0
    likelihood = (links[there] * np.log(links[there] * total / np.outer(degrees, degrees)[there])).sum() / 2
    return float(likelihood - k * (k + 1) / 4 * np.log(total / 2))


def _map_equation(clustered: Clustered, k: int) -> float:
    """Minus the length of a random walk's description: Rosvall and Bergstrom, PNAS 105, 2008."""
    links = clustered.links(k) / clustered.links(k).sum()
    left = links.sum(axis=1) - np.diag(links)
    terms = (np.array([left.sum()]), left, left, left + links.sum(axis=1))
    parts = [float((each * np.log2(np.maximum(each, 1e-300))).sum()) for each in terms]
    return parts[1] + parts[2] - parts[0] - parts[3]


def _mean_rank(clustered: Clustered) -> int:
    scores = [[score(clustered, k) for k in clustered.labels] for score in (_planted_likelihood, _block_bic)]
    ranks = sum(rankdata([-value for value in each]) for each in scores)
    return list(clustered.labels)[int(np.argmin(ranks))]


RULES: dict[str, Callable[[Clustered], int]] = {
    "modularity": _best(lambda clustered, k: modularity(clustered.graph, clustered.labels[k])),
    "planted partition, likelihood": _best(_planted_likelihood),
    "planted partition, description length": _best(_planted_length),
    "block model, BIC": _best(_block_bic),
    "mean rank of likelihood and BIC": _mean_rank,
    "map equation": _best(_map_equation),
    "silhouette": _best(lambda clustered, k: float(silhouette_score(clustered.points, clustered.labels[k]))),
    "12": lambda _: 12,
}

if __name__ == "__main__":
    main()
