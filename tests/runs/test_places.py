"""A run folder that is used from another folder, in a project that has moved, or after its images have."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

import imgcluster
from imgcluster.cli.main import main
from imgcluster.errors import ConfigError
from imgcluster.runs.places import Places, images_are_in, places_of
from tests.conftest import Command, write_pictures

CONFIG = (
    "images: {folder: data/test}\nfeatures: {backbone: efficientnet_lite0, store: features}\n"
    "clusters: {method: kmeans, n_clusters: 3}\noutputs: {folder: outputs/one}\n"
)


@pytest.fixture
def project(tmp_path: Path, command: Command) -> Path:
    """A project with nothing but relative paths, and a run of it that was started there."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    write_pictures(folder / "data" / "test", range(12))
    (folder / "config.yaml").write_text(CONFIG)
    done = command("run", "config.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    (tmp_path / "elsewhere").mkdir()
    return folder


def all_of_it(command: Command, run: str, cwd: Path, *options: str) -> None:
    """Do all that looks at a run's images or features, and look at what came of it."""
    for line in (
        ["report", run, "--sheets"],
        ["explain", run, "--cluster", "0"],
        ["stability", run, "--trials", "1"],
        ["score", run],
        ["export", run, "--format", "npz", "features.npz"],
        ["suggest", run, "--out", "ask.csv"],
        ["export-folders", run, "sorted", "--copy"],
    ):
        done = command(*line, *options, cwd=cwd)
        assert done.returncode == 0, done.stderr
    assert len(list((cwd / "sorted").glob("*/*.jpg"))) == 12
    page = (cwd / run / "report" / "data.js").read_text()
    data = json.loads(page.removeprefix("window.imgclusterData=").rstrip(";\n"))
    assert all(data["thumbnails"])
    assert None not in data["x"]
    original = cwd / run / "report" / data["root"] / data["paths"][0]
    assert original.resolve().is_file()


def test_from_another_folder(project: Path, tmp_path: Path, command: Command) -> None:
    before = (project / "outputs/one/report/index.html").read_bytes()
    data = (project / "outputs/one/report/data.js").read_bytes()
    done = command("report", "../project/outputs/one", cwd=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert (project / "outputs/one/report/index.html").read_bytes() == before
    assert (project / "outputs/one/report/data.js").read_bytes() == data
    all_of_it(command, "../project/outputs/one", tmp_path / "elsewhere")
    done = command(
        "assign", "../project/outputs/one", "../project/data/test", "--out", "a.csv", cwd=tmp_path / "elsewhere"
    )
    assert "12 from the store" in done.stdout
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {"sorted", "ask.csv", "features.npz", "a.csv"}


def test_other_images_under_the_same_name_are_not_taken_for_them(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "data").mkdir()
    write_pictures(tmp_path / "elsewhere" / "data" / "test", range(50, 62))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")
        for number in range(12):
            (Path("data/test") / f"{number + 50:04d}.jpg").rename(Path("data/test") / f"{number:04d}.jpg")
        assert main(["export-folders", "../project/outputs/one", "sorted", "--copy", "--quiet"]) == 0
        for path in Path("sorted").glob("*/*.jpg"):
            assert path.read_bytes() == (project / "data" / "test" / path.name).read_bytes()


@pytest.mark.slow
def test_a_project_that_moves_as_a_whole(project: Path, tmp_path: Path, command: Command) -> None:
    project.rename(tmp_path / "moved")
    all_of_it(command, "../moved/outputs/one", tmp_path / "elsewhere")


@pytest.mark.slow
def test_a_record_from_before_tells_its_start_by_its_own_folder(
    project: Path, tmp_path: Path, command: Command
) -> None:
    record = json.loads((project / "outputs/one/run.json").read_text())
    assert record.pop("started_in") == "../.."
    (project / "outputs/one/run.json").write_text(json.dumps(record))
    all_of_it(command, "../project/outputs/one", tmp_path / "elsewhere")


def test_a_run_that_is_not_where_it_was_is_used_from_where_it_began(project: Path, command: Command) -> None:
    (project / "outputs/one").rename(project / "kept")
    all_of_it(command, "kept", project)


@pytest.mark.slow
def test_images_that_have_moved(project: Path, tmp_path: Path, command: Command) -> None:
    (project / "data" / "test").rename(tmp_path / "new")
    run, cwd = "../project/outputs/one", tmp_path / "elsewhere"
    looked = (
        f"looked in {str(project / 'data/test')!r} and in {str(cwd / 'data/test')!r}; say where: --images-folder FOLDER"
    )
    for line in (["report", run], ["stability", run], ["export-folders", run, "sorted", "--copy"]):
        done = command(*line, cwd=cwd)
        assert done.returncode == 1
        assert f"none of the 12 images of {run!r} is there; {looked}" in done.stderr.splitlines()[-1]
    done = command("explain", run, "--images", "0000.jpg", cwd=cwd)
    assert done.stderr.splitlines()[-1] == f"imgcluster: the image is not there; {looked}"
    all_of_it(command, run, cwd, "--images-folder", "../new")
    with (cwd / "ask.csv").open(newline="") as file:
        asked = [row["path"] for row in csv.DictReader(file)]
    assert len(asked) == 12
    assert all(Path(path).is_file() for path in asked)
    done = command("suggest", run, "--out", "ask.csv", "--force", "--images-folder", "../new", cwd=cwd)
    then = f"then      python -m imgcluster spread {run} ask.csv --images-folder ../new --out CSV"
    assert done.stdout.splitlines()[-1] == then
    assert command("report", run, "--images", "../new", cwd=cwd).returncode == 0
    refused = command("report", run, "--images", "nowhere", cwd=cwd)
    assert (refused.returncode, refused.stderr) == (1, "imgcluster: --images-folder: 'nowhere': no such folder\n")


def test_no_folder_decides_over_the_tables(project: Path, tmp_path: Path, command: Command) -> None:
    """Where a run is started stands in run.json alone, as the way there: nobody's name is in it."""
    shutil.copytree(project / "data", tmp_path / "elsewhere" / "data")
    (tmp_path / "elsewhere" / "config.yaml").write_text(CONFIG)
    assert command("run", "config.yaml", cwd=tmp_path / "elsewhere").returncode == 0
    for name in ("clusters.csv", "submission.csv"):
        here = (tmp_path / "elsewhere" / "outputs/one" / name).read_bytes()
        assert here == (project / "outputs/one" / name).read_bytes()
    record = json.loads((project / "outputs/one/run.json").read_text())
    assert record["started_in"] == "../.."


@pytest.mark.parametrize(
    ("folder", "text", "based", "moved"),
    [
        ("data/test", "data/test/a/0001.jpg", "/s/data/test/a/0001.jpg", "/new/a/0001.jpg"),
        ("data/test", "data/testing/0001.jpg", "/s/data/testing/0001.jpg", "data/testing/0001.jpg"),
        (".", "0001.jpg", "/s/0001.jpg", "/new/0001.jpg"),
        ("/abs/test/", "/abs/test/0001.jpg", "/abs/test/0001.jpg", "/new/0001.jpg"),
        ("a.zip", "zip://in/0001.jpg::a.zip", "zip://in/0001.jpg::/s/a.zip", "zip://in/0001.jpg::/new/a.zip"),
        ("zip://in::a.zip", "zip://in/1.jpg::a.zip", "zip://in/1.jpg::/s/a.zip", "zip://in/1.jpg::/new/a.zip"),
        ("shards/*.tar", "tar://1.jpg::shards/b.tar", "tar://1.jpg::/s/shards/b.tar", "tar://1.jpg::/new/b.tar"),
        ("rows/a.parquet", "rows/a.parquet#row=17", "/s/rows/a.parquet#row=17", "/new/a.parquet#row=17"),
        (
            "rows/a.parquet",
            "rows/a.parquet#row=17&column=left.bytes",
            "/s/rows/a.parquet#row=17&column=left.bytes",
            "/new/a.parquet#row=17&column=left.bytes",
        ),
        ("rows/A.PARQUET", "rows/A.PARQUET#row=1", "/s/rows/A.PARQUET#row=1", "/new/A.PARQUET#row=1"),
        ("s3://b/frames", "s3://b/frames/1.jpg", "s3://b/frames/1.jpg", "/new/1.jpg"),
        ("[old]", "[old]/1.jpg", "/s/[old]/1.jpg", "/new/1.jpg"),
    ],
)
def test_each_form_of_a_path(
    folder: str, text: str, based: str, moved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "imgcluster.runs.places._is_there", lambda path: str(path).startswith("/s/") or str(path) == "/s"
    )
    found = places_of(tmp_path, {"config": {"images": {"folder": folder}}})
    assert found.image(text) == text
    assert Places(tmp_path, Path("/s"), found.folders).image(text) == based
    assert Places(tmp_path, None, found.folders, "/new").image(text) == moved


@pytest.mark.parametrize(
    ("folders", "there", "texts", "moved"),
    [
        (["a", "b"], ["a", "b"], ["a/1.jpg", "b/x/1.jpg"], ["a/1.jpg", "b/x/1.jpg"]),
        (["a", "b"], ["1.jpg"], ["a/1.jpg", "b/1.jpg"], ["a/1.jpg", "b/1.jpg"]),  # never one picture for both
        (["d/a/in", "d/b/in"], ["a/in"], ["d/a/in/1.jpg", "d/b/in/1.jpg"], ["a/in/1.jpg", "b/in/1.jpg"]),
        (["x/a", "y/b"], ["a", "b"], ["x/a/1.jpg", "y/b/1.jpg"], ["a/1.jpg", "b/1.jpg"]),
        (["/abs/a", "../b"], ["a", "b"], ["/abs/a/1.jpg", "../b/1.jpg"], ["a/1.jpg", "b/1.jpg"]),
        ([".", "../b"], ["b"], ["../b/1.jpg"], ["b/1.jpg"]),
        (["d/a.zip", "d/b.zip"], ["a.zip"], ["zip://1.jpg::d/b.zip"], ["zip://1.jpg::{new}/b.zip"]),
        (["s3://k/a", "s3://k/b"], ["a", "b"], ["s3://k/b/1.jpg"], ["b/1.jpg"]),
        (["s/a*.tar", "s/b*.tar"], [], ["tar://1.jpg::s/b1.tar"], ["tar://1.jpg::{new}/b1.tar"]),
    ],
)
def test_each_of_several_folders_keeps_its_name_where_they_moved(
    folders: list[str], there: list[str], texts: list[str], moved: list[str], tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).mkdir(parents=True)
    known = places_of(tmp_path, {"config": {"images": {"folder": folders}}})
    found = Places(tmp_path, None, known.folders, str(tmp_path))
    wanted = [each.format(new=tmp_path) if "{new}" in each else f"{tmp_path}/{each}" for each in moved]
    assert [found.image(text) for text in texts] == wanted


def test_several_folders_that_moved_together(tmp_path: Path, command: Command) -> None:
    write_pictures(tmp_path / "a", range(4))
    write_pictures(tmp_path / "b", range(4, 8))
    for number in range(4):  # the same names in both
        (tmp_path / "b" / f"{number + 4:04d}.jpg").rename(tmp_path / "b" / f"{number:04d}.jpg")
    (tmp_path / "config.yaml").write_text(
        CONFIG.replace("data/test", "[a, b]").replace("n_clusters: 3", "n_clusters: 2")
    )
    assert command("run", "config.yaml", cwd=tmp_path).returncode == 0
    (tmp_path / "new").mkdir()
    for name in "ab":
        (tmp_path / name).rename(tmp_path / "new" / name)
    line = ["export-folders", "outputs/one", "sorted", "--copy", "--images-folder"]
    refused = command(*line, "new/b", cwd=tmp_path)
    assert refused.returncode == 1
    looked = [str(tmp_path / "new/b" / name) for name in "ab"]
    assert f"looked in {looked[0]!r} and in {looked[1]!r}" in refused.stderr.splitlines()[-1]
    done = command(*line, "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    exported = {path.read_bytes() for path in (tmp_path / "sorted").glob("*/*.jpg")}
    assert exported == {path.read_bytes() for path in (tmp_path / "new").glob("*/*.jpg")}
    assert len(exported) == 8


def test_from_python(project: Path, tmp_path: Path) -> None:
    (project / "data" / "test").rename(tmp_path / "new")
    imgcluster.images_are_in(project / "outputs/one", tmp_path / "new")
    assert imgcluster.write_report(project / "outputs/one", show=False).is_file()
    with pytest.raises(ConfigError, match=r"^images_folder: .*: no such folder"):
        images_are_in(project / "outputs/one", tmp_path / "nowhere")
