"""Maps of images."""

from __future__ import annotations

import numpy as np
import pytest

import imgcluster
from imgcluster.report.projection import map_images


@pytest.mark.parametrize("kind", ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_maps_keep_groups_apart(kind: str) -> None:
    if kind == "umap":
        pytest.importorskip("umap")
    points = np.repeat(np.eye(3, 20) * 10, 15, axis=0) + np.random.default_rng(0).normal(size=(45, 20))
    places = map_images(points.astype(np.float32), kind, 0)
    assert (places.shape, places.dtype) == ((45, 2), np.float32)
    assert np.abs(places).max() == pytest.approx(1)
    middles = places.reshape(3, 15, 2).mean(axis=1)
    spread = np.linalg.norm(places.reshape(3, 15, 2) - middles[:, None], axis=2).max()
    assert np.linalg.norm(middles[[0, 1, 2]] - middles[[1, 2, 0]], axis=1).min() > 2 * spread


@pytest.mark.parametrize(("count", "dim"), [(0, 5), (1, 5), (2, 5), (4, 1), (3, 2), (5, 5)])
def test_maps_of_hardly_anything(count: int, dim: int) -> None:
    for kind in ("pca", "tsne"):
        places = map_images(np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32), kind, 0)
        assert places.shape == (count, 2)
        assert np.isfinite(places).all()
    assert np.isfinite(map_images(np.ones((9, 4), np.float32), "pca", 0)).all()


def test_a_map_by_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(imgcluster.ImgclusterError, match="map: umap needs the package umap-learn"):
        map_images(np.eye(9, 4, dtype=np.float32), "umap", 0)


@pytest.mark.parametrize("kind", ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_equal_images_lie_on_one_spot(kind: str) -> None:
    if kind == "umap":
        pytest.importorskip("umap")
    assert (map_images(np.full((40, 5), 3, np.float32), kind, 0) == 0).all()
    for count in (3, 5, 16, 21):
        places = map_images(np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32), kind, 0)
        assert np.isfinite(places).all()
