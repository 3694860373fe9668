"""What a report keeps for the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcluster.report.geometry import work_out
from imgcluster.report.write import write_report
from tests.support.reported import files_of_report, no_work, other_clusters


def test_a_second_report_reads_no_features_and_is_the_same(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(copied, show=False)
    before = files_of_report(copied)
    monkeypatch.setattr("imgcluster.report.gather.work_out", no_work)
    monkeypatch.setattr("imgcluster.report.gather.guess_names", no_work)
    monkeypatch.setattr("imgcluster.features.FeatureStore.vectors", no_work)
    write_report(copied, show=False)
    assert files_of_report(copied) == before


@pytest.mark.parametrize("change", ["map", "clusters", "features", "damage"])
def test_what_an_earlier_report_kept_is_not_taken_for_anything_else(
    change: str, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(copied, show=False)
    geometry = copied / "report" / "geometry.bin"
    if change == "clusters":
        other_clusters(copied)
    if change == "features":  # of the same name in the run's record, made of other bytes
        monkeypatch.setattr("imgcluster.features.FeatureStore.content", lambda store, keys: "other images")
    if change == "damage":
        geometry.write_bytes(geometry.read_bytes()[:-9] + b"damaged!!")
    worked_out = []
    monkeypatch.setattr(
        "imgcluster.report.gather.work_out", lambda *given: worked_out.append(given) or work_out(*given)
    )
    write_report(copied, map="tsne" if change == "map" else None, show=False)
    assert len(worked_out) == 1
