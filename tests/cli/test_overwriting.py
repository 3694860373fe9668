"""No command overwrites a run's own images and files, whatever `--force` says."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import imgcluster
from imgcluster import load_config
from imgcluster.cli.main import main
from tests.support.folder_runs import snapshot

# {run}, {images} and {here} are folders, {out} is the file to write.
COMMANDS = {
    "cut": "cut {run} --k 2 --out {out} --force",
    "cut --submission": "cut {run} --k 2 --out {here}/free.csv --submission {out} --force",
    "find --csv": "find {run} 0000 --csv {out} --force",
    "find --sheet": "find {run} 0000 --sheet {out} --force",
    "quality": "quality {run} --csv {out} --force",
    "subset": "subset {run} -n 3 --csv {out} --force",
    "label-errors": "label-errors {run} {here}/labels.csv --csv {out} --force",
    "leaks": "leaks {run} {run} --csv {out} --force",
    "duplicates": "duplicates {run} --plan {out} --force",
    "suggest": "suggest {run} --out {out} --force",
    "spread": "spread {run} {here}/labels.csv --out {out} --force",
    "assign": "assign {run} {images} --out {out} --force",
    "stability": "stability {run} --trials 2 --out {out}",
    "predict": "predict {here}/model {images} --out {out} --force",
}
TABLES = [name for name in COMMANDS if name != "find --sheet"]
OWN = ("run.json", "clusters.csv", "clusterer.npz", "images.csv", "mine.csv", "hierarchy.json", "report/index.html")


@pytest.fixture
def run(config_file: Path, tmp_path: Path) -> Path:
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{n:04d},{n % 3}\n" for n in range(12)))
    config = load_config(config_file, ["clusters.method=auto", "outputs.submission=mine.csv"])
    return imgcluster.run(config, show=False).folder


def refused(line: str, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command says that must change nothing."""
    before = snapshot(tmp_path)
    places = {"run": tmp_path / "out", "images": tmp_path / "pictures", "here": tmp_path, "out": out}
    capsys.readouterr()
    assert main(line.format_map(places).split()) == 1
    assert snapshot(tmp_path) == before
    said = capsys.readouterr()
    assert not said.out
    return said.err.removeprefix("imgcluster: ").removesuffix("; name another file\n")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_replaces_no_file_of_a_run_and_no_image(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for own in OWN:
        out = run / own
        assert refused(COMMANDS[name], tmp_path, out, capsys) == f"{str(out)!r} is a file of a run"
    picture = tmp_path / "pictures" / "0000.jpg"
    assert refused(COMMANDS[name], tmp_path, picture, capsys) == f"{str(picture)!r} is an image"


def test_a_contact_sheet_replaces_an_earlier_one_and_no_image_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, link, sheet = tmp_path / "pictures" / "0000.jpg", tmp_path / "link.jpg", tmp_path / "sheet.png"
    Path(link).symlink_to(picture)
    for out in (picture, link):
        said = refused(COMMANDS["find --sheet"], tmp_path, out, capsys)
        assert said == f"{str(out)!r} holds images of {str(run)!r}"
    assert refused(COMMANDS["find --sheet"], tmp_path, run / "report" / "a.png", capsys).endswith("is a file of a run")
    for _ in range(2):
        assert main(["find", str(run), "0000", "--sheet", str(sheet), "--force", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("format", "own"), [("npz", "clusterer.npz"), ("csv", "clusters.csv"), ("parquet", "images.parquet")]
)
def test_features_replace_no_file_of_a_run(
    format: str, own: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (
        f"export {{run}} {{out}} --format {format} --force",
        "features --data_dir {images} --model hog --out {out} --force",
    ):
        said = refused(line, tmp_path, run / own, capsys)
        assert said == f"{str(run / own)!r} is a file of a run"


def test_scores_replace_no_file_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        refused("score {run} --out {out}", tmp_path, run, capsys) == f"{str(run / 'images.csv')!r} is a file of a run"
    )
    for _ in range(2):
        assert main(["score", str(run), str(tmp_path / "labels.csv"), "--out", str(tmp_path / "scores")]) == 0


def test_an_archive_of_the_images_stays(
    run: Path, config_file: Path, tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "some.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(pictures.iterdir()):
            archive.write(path, path.name)
    keys = ["images.ids=null", f"images.folder={packed}", "outputs.submission=null"]
    imgcluster.run(load_config(config_file, keys), show=False, force=True)
    said = refused(COMMANDS["quality"], tmp_path, packed, capsys)
    assert said == f"{str(packed)!r} holds images of {str(run)!r}"


def test_other_files_in_a_run_folder_may_be_written(run: Path) -> None:
    for _ in range(2):
        assert main(["subset", str(run), "-n", "3", "--csv", str(run / "to_label.csv"), "--force"]) == 0
