"""A run in a notebook."""

from __future__ import annotations

from pathlib import Path

import imgcluster
from imgcluster.runs.finished import read_run
from tests.support.reported import Reader


def test_a_notebook_shows_the_clusters_of_a_run(hostile: Path, tmp_path: Path) -> None:
    config = read_run(hostile).config
    again = config.outputs.model_copy(update={"folder": str(tmp_path / "run"), "names": {0: "<i>red</i>"}})
    run = imgcluster.run(config.model_copy(update={"outputs": again}), show=False)
    text = run._repr_html_()
    page = Reader(text)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 3 * 8
    assert all(str(each["src"]).startswith("data:image/jpeg;base64,") for each in images)
    assert not any(tag in {"i", "script", "b"} for tag, _ in page.tags)
    assert "1 image failed" in text
    assert "&lt;i&gt;red&lt;/i&gt;" in text
    bare = imgcluster.Run(run.config, run.images, None, run.features, run.clusters)
    assert len([tag for tag, _ in Reader(bare._repr_html_()).tags if tag == "img"]) == 3 * 8
