"""The report of a run that is in memory: nothing of it is read back, no network runs twice, the page is the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import imgcluster
from imgcluster import features
from imgcluster.config.run_files import RunFiles
from tests.conftest import write_pictures

_counting: list[list[str]] = []  # names of files opened for reading, while a test counts them


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _counting and isinstance(arguments[0], str):
        path, mode, _ = arguments
        if mode is not None and "r" in mode and Path(path).exists():
            _counting[-1].append(Path(path).name)


sys.addaudithook(_count)  # for the life of the process


@pytest.fixture
def reads() -> Iterator[list[str]]:
    _counting.append([])
    yield _counting[-1]
    _counting.pop()


def config_of(home: Path, **outputs: Any) -> imgcluster.Config:
    if not (home / "pictures").exists():
        write_pictures(home / "pictures", range(24))
        (home / "pictures" / "broken.jpg").write_bytes(b"no picture")
    return imgcluster.config_from_dict(
        {
            "images": {"folder": str(home / "pictures")},
            "features": {"backbone": "efficientnet_lite0", "store": str(home / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3, "transform": ["l2", {"pca": 8}]},
            "outputs": {"folder": str(home / "run"), "contact_sheets": True, **outputs},
        }
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_with_a_report_reads_none_of_its_files_back(tmp_path: Path, reads: list[str]) -> None:
    imgcluster.run(config_of(tmp_path), show=False)
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    assert (tmp_path / "run" / "clusters" / "00.jpg").is_file()
    written = {RunFiles.RECORD, RunFiles.CLUSTERS, RunFiles.CLUSTERER, RunFiles.SUBMISSION, RunFiles.REPORT_RECORD}
    assert [name for name in reads if name in written] == []
    imgcluster.write_report(tmp_path / "run", show=False)
    assert {name for name in reads if name in written} == written - {RunFiles.SUBMISSION}
    assert max(reads.count(name) for name in written) == 1


def test_the_report_of_the_folder_is_that_of_the_result(tmp_path: Path) -> None:
    result = imgcluster.run(config_of(tmp_path), show=False)
    of_result = contents(result.folder / "report")
    imgcluster.write_report(result.folder, show=False)
    assert contents(result.folder / "report") == of_result
    imgcluster.write_report(result, show=False)
    assert contents(result.folder / "report") == of_result


def test_names_of_a_fresh_run_come_without_a_second_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "extract_features", lambda *_, **__: pytest.fail("a network ran for names"))
    result = imgcluster.run(config_of(tmp_path), show=False)
    assert "looks like <q>" in (result.folder / "report" / "index.html").read_text()
    assert len(list((tmp_path / "store").glob("efficient*"))) == 1


def test_what_the_report_of_the_folder_has_guessed_stays_in_that_of_the_next_run(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config = config.model_copy(update={"features": config.features.model_copy(update={"preprocess": "stage"})})
    page = tmp_path / "run" / "report" / "index.html"
    imgcluster.run(config, show=False)
    text = page.read_text()
    assert "looks like <q>" not in text
    assert "no names: the network would have to read images again for them" in text
    assert f"run <code>python -m imgcluster report {tmp_path}/run</code>" in text
    named = imgcluster.write_report(tmp_path / "run", show=False).read_text()
    assert "looks like <q>" in named
    imgcluster.run(config, show=False)
    assert page.read_text().count("looks like <q>") == named.count("looks like <q>")


def test_a_result_that_was_not_written_has_no_report(tmp_path: Path) -> None:
    run = imgcluster.run(config_of(tmp_path, report=False), show=False)
    bare = imgcluster.Run(run.config, run.images, None, run.features, run.clusters, made_in=tmp_path / "elsewhere")
    with pytest.raises(imgcluster.ImgclusterError, match="is not a run folder"):
        imgcluster.write_report(bare, show=False)
