"""The pictures of explanations and their list."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import imgcluster
from imgcluster.explain.filters import filters_of_layer
from tests.conftest import write_picture
from tests.support.explained import SUBJECTS, MakeRun, listed, photograph


@pytest.mark.slow
def test_later_explanations_are_added_until_the_clusters_change(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(filters_of_layer, steps=1)
    monkeypatch.setattr("imgcluster.explain.run_explanation.filters_of_layer", quick)
    monkeypatch.setattr("imgcluster.explain.filters.DEFAULT_FILTERS", 3)
    run = make_run()
    imgcluster.explain_run(run, images=["0003.png"], show=False)
    kinds = ("cluster", "gradcam", "activations", "filters")
    done = imgcluster.explain_run(
        run, images="0003.png,0004.png", kinds=kinds, layers=["_blocks.3"], label="espresso", show=False
    )
    pictures = listed(run)
    assert len({picture["file"] for picture in pictures}) == len(pictures) == len(done.pictures)
    files = {picture["file"] for picture in pictures}
    assert {
        "explain/gradcam-000003-967.jpg",
        "explain/activations-000004-_blocks.3.jpg",
        "explain/filters-_blocks.3.jpg",
        "explain/cluster-000003.jpg",
    } <= files
    (alone,) = (picture for picture in pictures if picture["kind"] == "filters")
    assert (alone["id"], alone["row"], alone["cluster"], alone["layer"]) == (None, None, None, "_blocks.3")
    imgcluster.explain_run(run, cluster=pictures[0]["cluster"], show=False)
    assert files < {picture["file"] for picture in listed(run)}
    table = run / "clusters.csv"
    table.write_text(table.read_text().replace(",ok,", ",ok,", 1) + "\n")
    (run / "report" / "explain" / "mine.jpg").write_bytes(b"")
    imgcluster.explain_run(run, images=["0005.png"], show=False)
    assert {picture["id"] for picture in listed(run)} == {"0005.png"}
    left = {path.name for path in (run / "report" / "explain").iterdir()}
    assert left == {"cluster-000005.jpg", "cluster-000005-runner-up.jpg", "mine.jpg"}


def test_ids_are_no_file_names(make_run: MakeRun, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    (folder / "a,b").mkdir(parents=True)
    names = ['a,b/<i>&"é.png', "0001.png", "0002.png"]
    for number, name in enumerate(names):
        write_picture(folder / "x.png", photograph(list(SUBJECTS)[number]))
        (folder / "x.png").rename(folder / name)
    run = make_run("clusters.n_clusters=2", folder=folder)
    imgcluster.explain_run(run, images=names[0], show=False)
    assert {picture["id"] for picture in listed(run)} == {names[0]}
    assert all(path.name.startswith("cluster-00000") for path in (run / "report" / "explain").iterdir())
