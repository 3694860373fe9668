"""What a report shows of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster.report.gather import gather
from imgcluster.runs.finished import read_run
from tests.support.reported import HOSTILE


def test_copies_are_shown_as_near_duplicates(hostile: Path) -> None:
    facts = gather(read_run(hostile))
    assert facts.likeness is not None
    groups = [{facts.ids[facts.fine[row]] for row in group.rows} for group in facts.likeness.duplicates]
    for number, name in enumerate(HOSTILE):
        assert any({f"{number:04d}.jpg", name} <= group for group in groups)


def test_each_cluster_shows_each_of_its_images_once_and_typical_ones_first(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TYPICAL", "BORDERLINE", "ATYPICAL"):
        monkeypatch.setattr(f"imgcluster.report.gather.{name}", 3)
    facts = gather(read_run(hostile))
    for card in facts.cards:
        rows = [*card.typical, *card.borderline, *card.atypical]
        assert len(set(rows)) == len(rows)
        assert {facts.labels[row] for row in rows} == {card.number}
        members = np.flatnonzero(facts.labels == card.number)
        assert card.size == len(members)
        assert facts.distance[card.typical].max() <= np.sort(facts.distance[members])[len(card.typical) - 1]
        margins = facts.runner_up_distance[members] - facts.distance[members]
        assert (len(card.typical), len(card.borderline)) == (3, len(members) // 4)
        assert card.atypical
        assert facts.distance[card.atypical].min() >= facts.distance[card.typical].max()
        assert margins[np.isin(members, card.borderline)].mean() < margins.mean()


def test_failures_config_and_command_are_there(hostile: Path) -> None:
    text = (hostile / "report" / "index.html").read_text()
    assert "a text file, not an image" in text
    assert "broken &lt;b&gt;.jpg" in text
    assert f"python -m imgcluster run {hostile}/report/config.yaml" in text
    again = imgcluster.load_config(hostile / "report" / "config.yaml")
    assert again.resolved() == gather(read_run(hostile)).run.config.resolved()


@pytest.mark.slow
def test_a_silhouette_of_another_space_is_not_shown(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("umap")
    config = imgcluster.config_from_dict(
        {
            "images": {"folder": str(pictures)},
            "features": {"backbone": "efficientnet_lite0", "store": str(tmp_path / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3, "transform": [{"umap": 2}]},
            "outputs": {"folder": str(tmp_path / "out"), "report": False},
        }
    )
    imgcluster.run(config, show=False)
    facts = gather(read_run(tmp_path / "out"))
    assert facts.scores is None
    assert np.isnan(facts.silhouette).all()
    assert facts.places is not None


def test_few_images_show_some_of_each_kind(hostile: Path) -> None:
    for card in gather(read_run(hostile)).cards:
        assert len(card.typical) + len(card.borderline) + len(card.atypical) == card.size
        assert min(len(card.borderline), len(card.atypical)) == card.size // 4 > 0
