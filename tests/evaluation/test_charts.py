"""Charts of a sweep."""

from __future__ import annotations

from pathlib import Path

from imgcluster.config.loader import ClustersConfig
from imgcluster.evaluation.charts import draw_sweep
from imgcluster.evaluation.sweep import sweep_k
from imgcluster.features.transforms import Points
from tests.support.feature_runs import blobs


def test_charts_are_whole_and_the_same_each_time(tmp_path: Path) -> None:
    found = sweep_k(Points(blobs(3)[0]), ClustersConfig(method="kmeans", n_clusters=2), range(2, 6), show=False)
    paths = draw_sweep(found, tmp_path)
    assert [path.name for path in paths] == ["sweep.svg", "sweep.png"]
    before = [path.read_bytes() for path in paths]
    assert b"3 clusters proposed" in before[0]
    assert before == [path.read_bytes() for path in draw_sweep(found, tmp_path)]
