"""2-D maps of a run's images: PCA, t-SNE, UMAP."""

from __future__ import annotations

import numpy as np

from imgcluster.errors import ClusteringError, ConfigError
from imgcluster.features import NO_UMAP
from imgcluster.utils import row_slices

MAX_FITTED = 20_000  # images that PCA is fitted to
COMPONENTS = 50  # of the PCA in front of t-SNE and UMAP, as their authors advise
PERPLEXITY = 30
NEIGHBOURS, FEW = 15, 20


def map_images(points: np.ndarray, kind: str, random_state: int) -> np.ndarray:
    """Project points to two dimensions: (n, dim) -> (n, 2) float32, from -1 to 1.

    kind: one of KINDS. pca: the two directions of largest variance; quick, and large distances are kept. tsne (van der
    Maaten and Hinton, Visualizing Data using t-SNE, 2008) and umap (McInnes, Healy and Melville, 2018): neighbourhoods
    are kept, large distances mean nothing; minutes for tens of thousands of images.
    Raises ConfigError: no such kind; ClusteringError: umap-learn is not installed.
    """
    if kind not in KINDS:
        raise ConfigError(f"map: there is no {kind!r}; allowed: {', '.join(KINDS)}")
    if len(points) < 3 or points.shape[1] < 2:
        padded = np.zeros((len(points), 2), np.float32)
        padded[:, 0] = np.linspace(-1, 1, len(points)) if len(points) > 1 else 0
        return padded
    if not np.ptp(points, axis=0).any():
        return np.zeros((len(points), 2), np.float32)
    places = KINDS[kind](points, random_state)
    places = places - (places.max(axis=0) + places.min(axis=0)) / 2
    return np.asarray(places / (np.abs(places).max() or 1), np.float32)


def _pca(points: np.ndarray, random_state: int, components: int = 2) -> np.ndarray:
    from sklearn.decomposition import PCA

    points = np.asarray(points, np.float32)
    drawn = points
    if len(points) > MAX_FITTED:
        drawn = points[np.sort(np.random.default_rng(random_state).permutation(len(points))[:MAX_FITTED])]
    most = min(components, *drawn.shape)
    pca = PCA(most, svd_solver="randomized", random_state=random_state).fit(drawn)
    return np.concatenate([pca.transform(points[part]) for part in row_slices(*points.shape)])


def _tsne(points: np.ndarray, random_state: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=random_state, n_jobs=-1)
    return np.asarray(model.fit_transform(_pca(points, random_state, COMPONENTS)))


def _umap(points: np.ndarray, random_state: int) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError:
        raise ClusteringError(NO_UMAP.replace("clusters.transform", "map")) from None
    # Its spectral start needs more points than it has to place.
    few = len(points) <= FEW
    model = UMAP(
        n_components=2,
        n_neighbors=max(2, min(NEIGHBOURS, len(points) - 1)),
        init="random" if few else "spectral",
        random_state=random_state,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(_pca(points, random_state, COMPONENTS)))


KINDS = {"pca": _pca, "tsne": _tsne, "umap": _umap}
