"""Ways of clustering on stored features: `python -m tests.benchmarks.sets.ways FOLDER [--aside]` prints a table.

FOLDER has the files of `tests.benchmarks.sets.features`. Without `--aside`, the sets that are kept aside are left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from imgcluster import cluster_features
from imgcluster.config.loader import ClustersConfig
from tests.benchmarks.sets.table import kept_aside, labelled_sets

LITE0, BOTH = ("lite0",), ("lite0", "lite2")
WITH_SHAPES, ALL = ("lite0", "hog"), ("lite0", "lite2", "hog")
NEAR: list[Any] = ["sqrt", "l2", {"pca": 128}, "l2"]
EQUALIZED: list[Any] = [*NEAR[:-1], "equalize", "l2"]
SHORT = {"diffusion_time": 4}
WAYS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {  # arrays, and keys of `clusters`
    "Lite0, K-Means": (LITE0, {"method": "kmeans"}),
    "Lite0, diffusion of time 8": (LITE0, {"method": "diffusion", "transform": NEAR}),
    "Lite0, auto": (LITE0, {}),
    "both, K-Means": (BOTH, {"method": "kmeans"}),
    "both, l2, Ward": (BOTH, {"method": "agglomerative", "transform": ["l2"]}),
    "both, diffusion of time 8": (BOTH, {"method": "diffusion", "transform": NEAR}),
    "both, diffusion of time 4": (BOTH, {"method": "diffusion", "transform": NEAR, "parameters": SHORT}),
    "both, equalized, time 4": (BOTH, {"method": "diffusion", "transform": EQUALIZED, "parameters": SHORT}),
    "both, auto": (BOTH, {}),
    "Lite0 and HOG, K-Means": (WITH_SHAPES, {"method": "kmeans"}),
    "Lite0 and HOG, auto": (WITH_SHAPES, {}),
    "both and HOG, K-Means": (ALL, {"method": "kmeans"}),
    "both and HOG, diffusion of time 8": (ALL, {"method": "diffusion", "transform": NEAR}),
    "both and HOG, auto": (ALL, {}),
    "HOG alone, K-Means": (("hog",), {"method": "kmeans"}),
    "HOG alone, auto": (("hog",), {}),
}


def scores(folder: Path, names: Sequence[str]) -> np.ndarray:
    """Return adjusted Rand index, NMI and CPU seconds of each way on each set, with the true number of clusters."""
    table = np.zeros((len(WAYS), len(names), 3))
    for column, name in enumerate(names):
        with np.load(folder / f"{name}.npz") as arrays:
            loaded = {key: arrays[key] for key in (*ALL, "labels")}
        truth = loaded["labels"]
        for row, (blocks, keys) in enumerate(WAYS.values()):
            config = ClustersConfig.model_validate({"n_clusters": len(np.unique(truth)), **keys})
            start = time.process_time()
            found = cluster_features(np.hstack([loaded[block] for block in blocks]), config, show=False).labels
            spent = time.process_time() - start
            table[row, column] = (
                adjusted_rand_score(truth, found),
                normalized_mutual_info_score(truth, found),
                spent,
            )
    return table


def left_one_out(rand: np.ndarray) -> float:
    """Return the mean index on each set of the way that is best on the mean of the others, rand: (ways, sets)."""
    others = (rand.sum(axis=1, keepdims=True) - rand) / max(1, rand.shape[1] - 1)
    return float(rand[others.argmax(axis=0), np.arange(rand.shape[1])].mean())


def main() -> None:
    """Print the ways, the best mean first, and below them what choosing on all sets but one gives on that one."""
    folder, aside = Path(sys.argv[1]), "--aside" in sys.argv[2:]
    hidden = kept_aside(labelled_sets())
    names = [path.stem for path in sorted(folder.glob("*.npz")) if (path.stem in hidden) == aside]
    table = scores(folder, names)
    rand = table[..., 0]
    ranks = rankdata(-rand, axis=0).mean(axis=1)
    print(f"| way | ARI | NMI | mean rank | CPU seconds | {' | '.join(names)} |")
    print(f"|---|---|---|---|---|{'---|' * len(names)}")
    for row in np.argsort(-rand.mean(axis=1)):
        way, by_set = list(WAYS)[row], " | ".join(f"{value:.2f}" for value in rand[row])
        means = " | ".join(f"{value:.3f}" for value in table[row, :, :2].mean(axis=0))
        print(f"| {way} | {means} | {ranks[row]:.1f} | {np.median(table[row, :, 2]):.2f} | {by_set} |")
    print(f"chosen on all sets but one, on that one: {left_one_out(rand):.3f}")


if __name__ == "__main__":
    main()
