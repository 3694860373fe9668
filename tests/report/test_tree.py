"""The hierarchy in a report: a tree that a keyboard opens, without a script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgcluster import config_from_dict, run
from imgcluster.report import tree, write_report
from imgcluster.report.tree import Branch, tree_of
from imgcluster.types import Hierarchy
from tests.conftest import write_pictures

# Eight images; cluster 2 of the run has two parts, clusters 0 and 2 merge first.
NESTED = Hierarchy(
    np.array([[2, 1], [2, 0], [2, 3]]), np.array([2, 2, 3, 0, 0, 1, 1, 1]), np.array([0, 0.2, 0.5, 0.4]), 3
)


def outline(branch: Branch) -> tuple[str, list[int], int, list[object]]:
    return branch.kind, branch.clusters, branch.size, [outline(part) for part in branch.parts]


def test_the_tree_has_the_run_in_its_middle() -> None:
    rows = np.array([0, 1, 2, 3, 4, 6, 7, 8])  # the image of row 5 failed
    found = tree_of(NESTED, rows, np.arange(8)[::-1].astype(float))
    parts = [("part", [2], 2, []), ("part", [2], 1, [])]
    groups = ("group", [0, 2], 5, [("cluster", [2], 3, parts), ("cluster", [0], 2, [])])
    assert outline(found) == ("group", [0, 1, 2], 8, [groups, ("cluster", [1], 3, [])])
    assert found.rows == [8, 2, 4, 7, 1]  # of each cluster in turn, the nearest to its centroid first
    assert (found.level, found.modularity) == (2, 0.2)


def test_a_large_cluster_shows_images_of_all_its_clusters() -> None:
    labels = np.repeat(np.arange(4), [9, 8, 7, 6])
    nested = Hierarchy(np.array([[0, 1], [0, 2], [0, 3]]), labels, np.zeros(4), 4)
    found = tree_of(nested, np.arange(30), np.where(labels == 0, 0.0, 1.0))  # the first one is the densest
    assert labels[found.rows].tolist() == [0, 1, 2, 3, 0]
    assert [labels[part.rows].tolist() for part in found.parts] == [[0, 2, 3, 0, 2], [1] * 5]


def test_a_run_of_one_cluster_is_the_top() -> None:
    found = tree_of(Hierarchy(np.array([[0, 1]]), np.array([0, 1, 0]), np.zeros(2), 1), np.arange(3), np.zeros(3))
    assert outline(found) == ("cluster", [0], 3, [("part", [0], 2, []), ("part", [0], 1, [])])


def test_a_page_shows_so_many_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_LEVELS", 2)
    found = tree_of(NESTED, np.arange(8), np.zeros(8))
    assert [part.parts for part in found.parts] == [[], []]


@pytest.mark.parametrize("hierarchy", [True, False])
def test_the_page_has_a_tree_where_the_run_has_a_hierarchy(tmp_path: Path, hierarchy: bool) -> None:
    write_pictures(tmp_path / "pictures", range(24))
    keys = {
        "images": {"folder": str(tmp_path / "pictures")},
        "features": {"backbone": "efficientnet_lite0", "store": str(tmp_path / "store")},
        "clusters": {"method": "kmeans", "n_clusters": 3, "hierarchy": hierarchy},
        "outputs": {"folder": str(tmp_path / "out")},
    }
    page = write_report(run(config_from_dict(keys), show=False), show=False).read_text()
    assert ('<ul class="tree">' in page) == hierarchy
    assert ('<a href="#hierarchy">' in page) == hierarchy
    if hierarchy:
        assert page.count("<details open><summary>") == 2  # both merges of three clusters
        words = " ".join(page.split())
        assert 'Clusters 0, 1, 2 <span class="quiet">24 images; split at 2 clusters, modularity 0.' in words
        assert words.count('<span class="mark">3 clusters: this run</span>') == 2  # above the tree, and in it
        assert "runner-up" not in words


def test_the_tree_marks_the_numbers_that_the_summary_names(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", range(36))
    keys = {
        "images": {"folder": str(tmp_path / "pictures")},
        "features": {"backbone": "efficientnet_lite0", "store": str(tmp_path / "store")},
        "clusters": {"n_clusters": "2..5"},
        "outputs": {"folder": str(tmp_path / "out")},
    }
    found = run(config_from_dict(keys), show=False)
    words = " ".join((tmp_path / "out" / "report" / "index.html").read_text().split())
    assert found.clusters.chosen is not None
    assert found.hierarchy is not None
    assert found.clusters.chosen.runners_up
    for level in found.clusters.chosen.runners_up:
        quality = f"{found.hierarchy.modularity[level - 1]:.3f}"
        assert f"{level} clusters: runner-up</span> modularity {quality}" in words
        assert f'modularity {quality}</span> <span class="mark">{level} clusters: runner-up</span>' in words
