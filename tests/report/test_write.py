"""The report of a run, without a browser: what is written, what of it is data, what is left out and said."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import imgcluster
from imgcluster.errors import ConfigError, OutputError
from imgcluster.report.sheets import write_sheets
from imgcluster.report.write import write_report
from imgcluster.runs.reader import clusters_digest, read_report_record
from tests.conftest import Command, write_picture
from tests.support.reported import HOSTILE, Reader, files_of_report, no_work, other_clusters, run_of, script


def test_a_run_leaves_a_report_that_names_every_file_it_loads(hostile: Path) -> None:
    page = Reader((hostile / "report" / "index.html").read_text())
    loaded = [attrs[name] for _, attrs in page.tags for name in ("src", "href") if attrs.get(name)]
    files = {each for each in loaded if each and not each.startswith(("#", "data:"))}
    assert {"data.js", "report.js", "report.css"} < files
    assert [each for each in files if not (hostile / "report" / each).is_file()] == []
    assert (hostile / "report" / "plotly.min.js").stat().st_size > 1_000_000


def test_neighbours_are_those_of_the_features(hostile: Path) -> None:
    data, near = script(hostile / "report" / "data.js"), script(hostile / "report" / "near" / "0.js")
    copy, original = data["ids"].index(HOSTILE[0]), data["ids"].index("0000.jpg")
    assert near[copy][0] == [original, 1.0]
    assert near[data["ids"].index("broken <b>.jpg")] == []


def test_the_config_of_the_report_makes_the_same_run(copied: Path, command: Command, tmp_path: Path) -> None:
    config = copied / "report" / "config.yaml"
    result = command("run", config, "--set", f"outputs.folder={tmp_path / 'again'}")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "again" / "clusters.csv").read_bytes() == (copied / "clusters.csv").read_bytes()
    assert f"written   {tmp_path / 'again' / 'report' / 'index.html'}" in result.stdout


def test_the_command_makes_it_anew_and_remembers_the_map_and_the_truth(copied: Path, command: Command) -> None:
    (copied.parent / "truth.csv").write_text("id,label\n" + "".join(f"{n:04d}.jpg,{'rgb'[n % 3]}\n" for n in range(24)))
    shutil.rmtree(copied / "report")
    result = command("report", copied, "--map", "tsne", "--truth", copied.parent / "truth.csv", "--sheets", "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["written", str(copied / "report/index.html"), "written", str(copied / "clusters")]
    first = (copied / "report" / "index.html").read_text()
    assert "by t-SNE" in first
    assert 'adjusted Rand index</th><td class="number">1.0000' in first
    assert 'src="truth/confusion.svg"' in first
    assert '<p class="quiet">matched' not in first
    assert len(list((copied / "clusters").glob("0?.jpg"))) == 3
    places = script(copied / "report" / "data.js")["x"]
    write_report(copied, show=False)
    assert script(copied / "report" / "data.js")["x"] == places
    write_report(copied, map="pca", show=False)
    assert script(copied / "report" / "data.js")["x"] != places


def test_a_report_of_the_run_in_memory_leaves_what_one_of_its_folder_takes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(pictures, tmp_path / "run")
    monkeypatch.setattr("imgcluster.report.gather.work_out", no_work)
    before = files_of_report(run)
    write_report(run, show=False)
    assert files_of_report(run) == before


def test_a_wrong_map_or_no_run_is_told(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"map: there is no 'mds'; allowed: pca, tsne, umap"):
        write_report(copied, map="mds", show=False)
    with pytest.raises(OutputError, match="is not a run folder"):
        write_report(tmp_path, show=False)
    with pytest.raises(OutputError, match="is not a run folder"):
        write_sheets(tmp_path, show=False)


def test_without_the_store_the_report_says_what_it_lacks(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = json.loads((copied / "run.json").read_text())
    for origin in record["features"]:
        origin["stores"] = [str(copied / "gone")]
    (copied / "run.json").write_text(json.dumps(record))
    text = write_report(copied, show=False).read_text()
    assert "No map, no neighbours, no near-duplicates:" in text
    assert 'id="map"' not in text
    assert 'id="duplicates"' not in text
    assert "Most typical" in text
    assert not list((copied / "report" / "near").iterdir())


def test_a_run_without_a_report_takes_the_old_one_away(copied: Path, tmp_path: Path) -> None:
    folder = Path(json.loads((copied / "run.json").read_text())["config"]["images"]["folder"])
    out = tmp_path / "again"
    run_of(folder, out)
    assert (out / "report" / "index.html").is_file()
    run_of(folder, out, report=False)
    assert not (out / "report").exists()


def test_a_folder_of_that_name_that_is_not_ours_is_left_alone(copied: Path, tmp_path: Path) -> None:
    folder = Path(json.loads((copied / "run.json").read_text())["config"]["images"]["folder"])
    out = tmp_path / "again"
    (out / "report").mkdir(parents=True)
    (out / "report" / "mine.txt").write_text("mine")
    run_of(folder, out, report=False)
    assert (out / "report" / "mine.txt").read_text() == "mine"
    (tmp_path / "other" / "report").mkdir(parents=True)
    (tmp_path / "other" / "report" / "index.html").write_text("mine")
    with pytest.raises(OutputError, match=r"has a report/index.html that no run of imgcluster left there"):
        run_of(folder, tmp_path / "other")


def test_explanations_of_these_clusters_are_shown_and_those_of_others_removed(copied: Path) -> None:
    home = copied / "report"
    (home / "explain").mkdir()
    write_picture(home / "explain" / "a.jpg", np.full((9, 9, 3), 200, np.uint8))
    pictures = [
        {"kind": "cluster", "file": "explain/a.jpg", "row": 0, "cluster": 0, "title": "<b>pull</b>"},
        {"kind": "cluster", "file": "explain/gone.jpg", "row": 1, "cluster": 0, "title": "gone"},
    ]
    digest = hashlib.sha256((copied / "clusters.csv").read_bytes()).hexdigest()
    (home / "explain.json").write_text(json.dumps({"clusters_sha256": digest, "pictures": pictures}))
    text = write_report(copied, show=False).read_text()
    assert 'src="explain/a.jpg" alt="&lt;b&gt;pull&lt;/b&gt;"' in text
    assert "explain/gone.jpg" not in text
    (home / "explain.json").write_text(json.dumps({"clusters_sha256": "other", "pictures": pictures}))
    assert "explain/a.jpg" not in write_report(copied, show=False).read_text()
    assert not (home / "explain").exists()


def test_the_chart_of_a_sweep_is_taken_along(copied: Path) -> None:
    (copied / "sweep").mkdir()
    (copied / "sweep" / "sweep.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert 'src="sweep.svg"' in write_report(copied, show=False).read_text()
    (copied / "sweep" / "sweep.svg").unlink()
    assert 'src="sweep.svg"' not in write_report(copied, show=False).read_text()
    assert not (copied / "report" / "sweep.svg").exists()


def test_noise_has_a_card_of_its_own(pictures: Path, tmp_path: Path) -> None:
    config = imgcluster.config_from_dict(
        {
            "images": {"folder": str(pictures)},
            "features": {"backbone": "efficientnet_lite0", "store": str(tmp_path / "store")},
            "clusters": {"method": "dbscan", "n_clusters": None, "parameters": {"eps": 1e-6, "min_samples": 2}},
            "outputs": {"folder": str(tmp_path / "out")},
        }
    )
    imgcluster.run(config, show=False)
    text = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "12 images in 0 clusters" in text
    assert "In no cluster" in text
    write_sheets(tmp_path / "out", show=False)
    assert {path.name for path in (tmp_path / "out" / "clusters").iterdir()} == {".sheets", "noise.jpg"}


def test_a_full_disk_is_told(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgcluster.report.write.write_whole", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_report(copied, show=False)


def test_two_processes_do_not_write_one_report(copied: Path) -> None:
    with FileLock(copied / "report" / ".lock"), pytest.raises(OutputError, match="being written by another process"):
        write_report(copied, show=False)


def test_pictures_that_went_are_told(copied: Path, tmp_path: Path) -> None:
    text = (copied / "clusters.csv").read_text()
    (copied / "clusters.csv").write_text(re.sub(r"[^,\n]*/pictures/000[34].jpg", str(tmp_path / "gone.jpg"), text))
    page = write_report(copied, show=False).read_text()
    assert "2 images could not be read when this report was made" in page
    assert page.count('class="gone">no picture') >= 1


def test_a_truth_in_folders_is_compared_with_and_the_page_says_how_names_were_matched(copied: Path) -> None:
    for n in range(23):
        folder = copied.parent / "sorted" / "rgb"[n % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n:04d}.png").write_bytes(b"no picture: it is never read")
    page = write_report(copied, truth=copied.parent / "sorted", show=False).read_text()
    assert 'adjusted Rand index</th><td class="number">1.0000' in page
    assert '<p class="quiet">matched 23 true labels by name: 23 without folders and endings' in page


def test_a_truth_that_fits_no_more_is_dropped_and_said(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = copied.parent / "truth.csv"
    truth.write_text("id,label\n" + "".join(f"{n:04d}.jpg,{'rgb'[n % 3]}\n" for n in range(24)))
    assert 'id="truth"' in write_report(copied, truth=truth, show=False).read_text()
    truth.write_text("id,label\nother,a\nanother,b\n")
    assert 'id="truth"' not in write_report(copied, show=False).read_text()
    assert "the report has no scores any more" in caplog.text
    with pytest.raises(ConfigError, match="have no id in common"):
        write_report(copied, truth=truth, show=False)


def test_other_clusters_forget_map_and_truth_and_names(copied: Path) -> None:
    write_report(copied, map="tsne", show=False)
    assert read_report_record(copied)["map"] == "tsne"
    other_clusters(copied)
    assert read_report_record(copied) == {}
    write_report(copied, show=False)
    assert read_report_record(copied)["map"] == "pca"


def test_a_report_that_is_broken_off_leaves_no_page_of_other_data(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("imgcluster.report.write.render_page", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_report(copied, show=False)
    assert not (copied / "report" / "index.html").exists()
    assert write_report(copied, show=False).is_file()


def test_a_report_is_kept_where_the_images_cannot_be_found(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copied / "report").rglob("*")}
    folder = json.loads((copied / "run.json").read_text())["config"]["images"]["folder"]
    text = (copied / "clusters.csv").read_text()
    (copied / "clusters.csv").write_text(text.replace(folder, "elsewhere"))
    with pytest.raises(
        OutputError,
        match=r"none of the 31 images of .* is there; looked in .*; say where: imgcluster.images_are_in\(RUN, FOLDER\)",
    ):
        write_report(copied, show=False)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("cluster", "custer"), ("status,error\n", "status,error,probability\n"), (r"(,\d),\d\.", r"\1,1..")],
)
def test_a_damaged_table_is_told(copied: Path, was: str, becomes: str) -> None:
    text = (copied / "clusters.csv").read_text()
    spoilt = re.sub(was, becomes, text, count=1)
    if "probability" in becomes:
        spoilt = spoilt.replace(",ok,\n", ",ok,,abc\n", 1)
    (copied / "clusters.csv").write_text(spoilt)
    assert spoilt != text
    for write in (write_report, write_sheets):
        with pytest.raises(OutputError, match=r"clusters.csv' is damaged"):
            write(copied, show=False)  # type: ignore[operator]


def test_failed_images_that_can_be_read_hide_no_lost_pictures(copied: Path, tmp_path: Path) -> None:
    text = (copied / "clusters.csv").read_text()
    path = re.search(r"[^,\n]*/pictures/0003.jpg", text)
    assert path is not None
    text = text.replace("pictures/broken <b>.jpg", "pictures/0005.jpg")
    (copied / "clusters.csv").write_text(text.replace(path[0], str(tmp_path / "gone.jpg")))
    assert "1 image could not be read when this report was made" in write_report(copied, show=False).read_text()


def test_explanations_stand_under_what_they_are_of(copied: Path) -> None:
    home = copied / "report"
    (home / "explain").mkdir()
    kinds = ["filters", "activations", "gradcam", "runner_up", "cluster"]
    for kind in kinds:
        write_picture(home / "explain" / f"{kind}.jpg", np.full((9, 9, 3), 200, np.uint8))
    pictures = [
        {"kind": kind, "file": f"explain/{kind}.jpg", "row": None if kind == "filters" else 0, "title": kind}
        for kind in kinds
    ]
    (home / "explain.json").write_text(json.dumps({"clusters_sha256": clusters_digest(copied), "pictures": pictures}))
    text = write_report(copied, show=False).read_text()
    places = [text.index(f'src="explain/{kind}.jpg"') for kind in ("cluster", "runner_up", "gradcam", "activations")]
    assert places == sorted(places)
    assert (
        text.index("What keeps these images out of their second-choice cluster")
        < places[1]
        < text.index("Where the network sees a class")
    )
    assert text.index('id="filters"') < text.index('src="explain/filters.jpg"')


def test_a_run_whose_report_fails_is_done_all_the_same(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr("imgcluster.pipeline.report_with_facts", full)
    folder = Path(json.loads((hostile / "run.json").read_text())["config"]["images"]["folder"])
    out = run_of(folder, tmp_path / "run")
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert "the run is done and written, but not its report: no space left" in caplog.text
