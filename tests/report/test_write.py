"""The report of a run, without a browser: what is written, what of it is data, what is left out and said."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

import imgcluster
from imgcluster.backbones import class_names
from imgcluster.errors import ConfigError, OutputError, StoreError
from imgcluster.report import cluster_names as names
from imgcluster.report import thumbnails
from imgcluster.report.gather import gather
from imgcluster.report.geometry import work_out
from imgcluster.report.page import visible
from imgcluster.report.projection import map_images
from imgcluster.report.sheets import write_sheets
from imgcluster.report.thumbnails import make_thumbnails, thumbnail_path, thumbnail_side
from imgcluster.report.write import write_report
from imgcluster.runs.features import features_of_run
from imgcluster.runs.finished import FinishedRun, read_run
from imgcluster.runs.reader import clusters_digest, read_report_record
from tests.conftest import Command, write_picture, write_pictures

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "'\"><script>alert(2)</script>.jpg".replace("/", "_"),
    "quote\"s and 'quotes' & ampersands.jpg",
    "line\nbreak.jpg",
    "{{ 7 * 7 }} {% raise %}.jpg",
    "\u202egpj.exe\u202c.jpg",
    "x" * 200 + ".jpg",
]


def hostile_pictures(folder: Path) -> Path:
    write_pictures(folder, range(24))
    for number, name in enumerate(HOSTILE):
        shutil.copy(folder / f"{number:04d}.jpg", folder / name)
    (folder / "broken <b>.jpg").write_bytes(b"no picture")
    return folder


def run_of(folder: Path, out: Path, *overrides: str, **outputs: Any) -> Path:
    store = out.parent / "store"
    config = imgcluster.config_from_dict(
        {
            "images": {"folder": str(folder)},
            "features": {"backbone": "efficientnet_lite0", "store": str(store)},
            "clusters": {"method": "kmeans", "n_clusters": 3},
            "outputs": {"folder": str(out), "submission": None, **outputs},
        }
    )
    return imgcluster.run(config, show=False).folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over images with names that would be markup, script or commands; not to be changed."""
    home = tmp_path_factory.mktemp("hostile")
    return run_of(hostile_pictures(home / "pictures"), home / "run")


@pytest.fixture
def copied(hostile: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(hostile, tmp_path / "run"))


def script(path: Path) -> Any:
    text = path.read_text()
    return json.loads(text[text.index("=") + 1 :].rstrip().rstrip(";"))


class Reader(HTMLParser):
    """The tags of a page and the text of its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self._in_bdi = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_bdi = tag == "bdi"

    def handle_endtag(self, tag: str) -> None:
        self._in_bdi = False

    def handle_data(self, data: str) -> None:
        if self._in_bdi:
            self.ids.append(data)


def test_a_run_leaves_a_report_that_names_every_file_it_loads(hostile: Path) -> None:
    page = Reader((hostile / "report" / "index.html").read_text())
    loaded = [attrs[name] for _, attrs in page.tags for name in ("src", "href") if attrs.get(name)]
    files = {each for each in loaded if each and not each.startswith(("#", "data:"))}
    assert {"data.js", "report.js", "report.css"} < files
    assert [each for each in files if not (hostile / "report" / each).is_file()] == []
    assert (hostile / "report" / "plotly.min.js").stat().st_size > 1_000_000


def test_what_comes_from_outside_is_text(hostile: Path) -> None:
    text = (hostile / "report" / "index.html").read_text()
    page = Reader(text)
    assert [tag for tag, attrs in page.tags for name in attrs if name.startswith("on")] == []
    assert {attrs.get("src") for tag, attrs in page.tags if tag == "script"} == {"data.js", "report.js"}
    shown = set(page.ids)
    assert "<img src=x onerror=alert(1)>.jpg" in shown
    assert "line\\u000abreak.jpg" in shown
    assert "\\u202egpj.exe\\u202c.jpg" in shown
    assert "{{ 7 * 7 }} {% raise %}.jpg" in shown
    assert all(len(each) <= 160 for each in shown)
    assert "\u202e" not in text


def test_the_data_hold_every_id_as_it_is(hostile: Path) -> None:
    data = script(hostile / "report" / "data.js")
    assert set(HOSTILE) < set(data["ids"])
    failed = data["ids"].index("broken <b>.jpg")
    assert (data["labels"][failed], data["thumbnails"][failed], data["x"][failed]) == (None, None, None)
    assert sum(label is not None for label in data["labels"]) == 31
    assert all(-1 <= place <= 1 for place in [*data["x"], *data["y"]] if place is not None)


def test_neighbours_are_those_of_the_features(hostile: Path) -> None:
    data, near = script(hostile / "report" / "data.js"), script(hostile / "report" / "near" / "0.js")
    copy, original = data["ids"].index(HOSTILE[0]), data["ids"].index("0000.jpg")
    assert near[copy][0] == [original, 1.0]
    assert near[data["ids"].index("broken <b>.jpg")] == []


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


def no_work(*_: object) -> None:
    raise AssertionError("worked out again")


def files_of_report(run: Path) -> dict[str, bytes]:
    files = (path for path in (run / "report").rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def test_a_second_report_reads_no_features_and_is_the_same(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(copied, show=False)
    before = files_of_report(copied)
    monkeypatch.setattr("imgcluster.report.gather.work_out", no_work)
    monkeypatch.setattr("imgcluster.report.gather.guess_names", no_work)
    monkeypatch.setattr("imgcluster.features.FeatureStore.vectors", no_work)
    write_report(copied, show=False)
    assert files_of_report(copied) == before


def test_a_report_of_the_run_in_memory_leaves_what_one_of_its_folder_takes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(pictures, tmp_path / "run")
    monkeypatch.setattr("imgcluster.report.gather.work_out", no_work)
    before = files_of_report(run)
    write_report(run, show=False)
    assert files_of_report(run) == before


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


def test_a_wrong_map_or_no_run_is_told(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"map: there is no 'mds'; allowed: pca, tsne, umap"):
        write_report(copied, map="mds", show=False)
    with pytest.raises(OutputError, match="is no run folder"):
        write_report(tmp_path, show=False)
    with pytest.raises(OutputError, match="is no run folder"):
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


def test_names_are_guesses_of_the_networks_own_head(hostile: Path) -> None:
    facts = gather(read_run(hostile))
    record = json.loads((hostile / "report" / "report.json").read_text())
    assert len(class_names()) == 1000
    assert class_names()[386] == "African elephant"
    for card in facts.cards:
        assert card.guess is not None
        images = [facts.paths[row] for row in card.typical[:9]]
        found = imgcluster.extract(images, backbone="efficientnet_lite0", layers=["logits"])
        logits = np.asarray(found["logits"], np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        mean = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
        best = np.argsort(-mean)[:2]
        assert card.guess.name.split(", ")[0] == class_names()[best[0]].split(", ")[0]
        shown = mean[best].sum() if mean[best[1]] >= mean[best[0]] / 2 else mean[best[0]]
        assert card.guess.share == pytest.approx(shown, abs=0.05)  # in other numbers: bf16 or not
        assert record["names"][str(card.number)]["name"] == card.guess.name


def changed(run: FinishedRun, features: dict[str, Any], origin: dict[str, Any]) -> FinishedRun:
    """The same run with other keys in its config's section `features` and in the origin of its features."""
    config = {**run.record["config"], "features": {**run.record["config"]["features"], **features}}
    origins = [{**run.record["features"][0], **origin}]
    return FinishedRun(run.folder, {**run.record, "config": config, "features": origins}, run.rows, run.clusters_sha256)


def no_features(rows: Sequence[int]) -> np.ndarray:
    raise StoreError("the store is gone")


@pytest.mark.parametrize(
    ("features", "origin", "reason"),
    [
        ({"weights": "random"}, {}, "not those of a network trained on ImageNet"),
        ({}, {"runtime": "file"}, "not those of a network trained on ImageNet"),
        ({"store": "/proc/none"}, {}, "no names: features.store"),
    ],
)
def test_without_such_a_head_there_are_no_names(
    features: dict[str, Any], origin: dict[str, Any], reason: str, hostile: Path
) -> None:
    run = changed(read_run(hostile), features, origin)
    found = names.guess_names({0: [0]}, run, no_features, run_network=True)
    assert found.by_cluster == {}
    assert reason in found.reason


@pytest.mark.parametrize(
    ("features", "origin"),
    [({"preprocess": "stage"}, {}), ({"block_l2": True}, {}), ({}, {"pooling": "max"}), ({}, {"layer": "_swish_1"})],
)
def test_where_the_classifier_takes_no_features_the_network_is_asked_only_on_request(
    features: dict[str, Any], origin: dict[str, Any], hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = changed(read_run(hostile), features, origin)
    vectors = features_of_run(hostile).vectors[:, : 100 if "layer" in origin else None]
    found = names.guess_names({0: [0, 1]}, run, lambda rows: vectors[rows], run_network=False)
    assert (found.by_cluster, found.wants_network) == ({}, True)
    asked = names.guess_names({0: [0, 1]}, run, lambda rows: vectors[rows], run_network=True)
    assert (
        asked.by_cluster[0].name
        == names.guess_names(
            {0: [0, 1]}, read_run(hostile), lambda rows: features_of_run(hostile).vectors[rows], run_network=False
        )
        .by_cluster[0]
        .name
    )


@pytest.mark.parametrize("kind", ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_maps_keep_groups_apart(kind: str) -> None:
    if kind == "umap":
        pytest.importorskip("umap")
    points = np.repeat(np.eye(3, 20) * 10, 15, axis=0) + np.random.default_rng(0).normal(size=(45, 20))
    places = map_images(points.astype(np.float32), kind, 0)
    assert (places.shape, places.dtype) == ((45, 2), np.float32)
    assert np.abs(places).max() == pytest.approx(1)
    middles = places.reshape(3, 15, 2).mean(axis=1)
    spread = np.linalg.norm(places.reshape(3, 15, 2) - middles[:, None], axis=2).max()
    assert np.linalg.norm(middles[[0, 1, 2]] - middles[[1, 2, 0]], axis=1).min() > 2 * spread


@pytest.mark.parametrize(("count", "dim"), [(0, 5), (1, 5), (2, 5), (4, 1), (3, 2), (5, 5)])
def test_maps_of_hardly_anything(count: int, dim: int) -> None:
    for kind in ("pca", "tsne"):
        places = map_images(np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32), kind, 0)
        assert places.shape == (count, 2)
        assert np.isfinite(places).all()
    assert np.isfinite(map_images(np.ones((9, 4), np.float32), "pca", 0)).all()


def test_a_map_by_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(imgcluster.ImgclusterError, match="map: umap needs the package umap-learn"):
        map_images(np.eye(9, 4, dtype=np.float32), "umap", 0)


# Thumbnails.


def test_thumbnails_are_small_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(tmp_path / "wide.png", np.full((100, 500, 3), 200, np.uint8))
    write_picture(tmp_path / "tiny.png", np.full((3, 2, 3), 20, np.uint8))
    (tmp_path / "no.png").write_bytes(b"")
    paths = [tmp_path / name for name in ("wide.png", "tiny.png", "no.png", "gone.png")]
    made = make_thumbnails(paths, tmp_path / "t", show=False)
    assert made[2:] == [None, None]
    shapes = [cv2.imread(str(thumbnail_path(tmp_path / "t", name))).shape for name in made[:2] if name]
    assert shapes == [(45, 224, 3), (3, 2, 3)]
    read = []
    monkeypatch.setattr(thumbnails, "decode_image", lambda data, *_: read.append(data))
    assert make_thumbnails(paths[:2], tmp_path / "t", show=False) == made[:2]
    assert read == []


def test_thumbnails_of_images_that_changed_or_went_are_replaced(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 200, np.uint8))
    write_picture(tmp_path / "b.png", np.full((9, 9, 3), 100, np.uint8))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    before = make_thumbnails(paths, tmp_path / "t", show=False)
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 20, np.uint8))
    os.utime(tmp_path / "a.png", (1, 1))
    (tmp_path / "t" / before[1][:2] / "left.123.tmp").write_bytes(b"")  # type: ignore[index]
    after = make_thumbnails(paths[:1], tmp_path / "t", show=False)
    assert after[0] not in before
    assert [path.name for path in (tmp_path / "t").rglob("*") if path.is_file()] == [f"{after[0]}.jpg".split("/")[1]]
    assert cv2.imread(str(thumbnail_path(tmp_path / "t", str(after[0])))).mean() == pytest.approx(20, abs=2)


def test_a_thumbnail_of_which_nothing_reached_the_disk_is_made_again(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 200, np.uint8))
    (name,) = make_thumbnails([tmp_path / "a.png"], tmp_path / "t", show=False)
    place = thumbnail_path(tmp_path / "t", str(name))
    whole = place.read_bytes()
    place.write_bytes(b"")
    make_thumbnails([tmp_path / "a.png"], tmp_path / "t", show=False)
    assert place.read_bytes() == whole


def test_thumbnails_have_nothing_of_the_originals_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    exif[0x0112] = 6  # turned: the thumbnail is upright
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (40, 20), (200, 10, 10)).save(tmp_path / "a.jpg", exif=exif)
    (name,) = make_thumbnails([tmp_path / "a.jpg"], tmp_path / "t", show=False)
    with Image.open(thumbnail_path(tmp_path / "t", str(name))) as thumbnail:
        assert thumbnail.size == (20, 40)
        assert not thumbnail.getexif()
        assert "secret" not in str(thumbnail.info)


def test_many_images_have_smaller_thumbnails() -> None:
    assert [thumbnail_side(count) for count in (1, 2_000, 2_001, 20_000, 20_001, 10**6)] == [224, 224, 128, 128, 96, 96]


# Contact sheets.


def test_contact_sheets_show_each_cluster_from_its_middle_outwards(copied: Path) -> None:
    (copied / "clusters").mkdir()
    (copied / "clusters" / "17.jpg").write_bytes(b"of a run before")
    (copied / "clusters" / "2024.jpg").write_bytes(b"mine")
    (copied / "clusters" / ".sheets").write_text("00.jpg\n17.jpg\n../run.json\n")
    write_sheets(copied, show=False)
    names = {path.name for path in (copied / "clusters").iterdir()}
    assert names == {".sheets", "00.jpg", "01.jpg", "02.jpg", "2024.jpg"}
    assert (copied / "run.json").is_file()
    facts = gather(read_run(copied))
    for card in facts.cards:
        sheet = cv2.imread(str(copied / "clusters" / f"{card.number:02d}.jpg"))[..., ::-1]
        first = cv2.imread(facts.paths[card.typical[0]])[..., ::-1]
        height, width = first.shape[:2]
        top, left = 8 + (160 - height) // 2, 8 + (160 - width) // 2
        shown = sheet[top : top + height, left : left + width].astype(int)
        assert np.abs(shown - first).mean() < 12
        assert (sheet[:8] > 240).all()


def test_a_picture_that_went_leaves_its_place_empty(copied: Path, tmp_path: Path) -> None:
    text = (copied / "clusters.csv").read_text()
    (copied / "clusters.csv").write_text(re.sub(r"[^,\n]*/pictures/0003.jpg", str(tmp_path / "gone.jpg"), text))
    assert write_sheets(copied, show=False) == copied / "clusters"


# What others leave for the report.


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a\\u0009b"),
        ("\u2067x", "\\u2067x"),
        ("\udcff", "\\udcff"),
        ("süß 図", "süß 図"),
        ("a\u2028", "a\\u2028"),
    ],
)
def test_what_would_not_be_seen_is_shown_by_its_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_full_disk_is_told(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgcluster.report.write.write_whole", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_report(copied, show=False)


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
    assert "1 images failed" in text
    assert "&lt;i&gt;red&lt;/i&gt;" in text
    bare = imgcluster.Run(run.config, run.images, None, run.features, run.clusters)
    assert len([tag for tag, _ in Reader(bare._repr_html_()).tags if tag == "img"]) == 3 * 8


def test_two_processes_do_not_write_one_report(copied: Path) -> None:
    with FileLock(copied / "report" / ".lock"), pytest.raises(OutputError, match="being written by another process"):
        write_report(copied, show=False)


def test_pictures_that_went_are_told(copied: Path, tmp_path: Path) -> None:
    text = (copied / "clusters.csv").read_text()
    (copied / "clusters.csv").write_text(re.sub(r"[^,\n]*/pictures/000[34].jpg", str(tmp_path / "gone.jpg"), text))
    page = write_report(copied, show=False).read_text()
    assert "2 images could not be read when this report was made" in page
    assert page.count('class="gone">no picture') >= 1


# What was found broken once.


def other_clusters(run: Path) -> None:
    """Change the clusters of a run, as another run into its folder does."""
    text = (run / "clusters.csv").read_text()
    (run / "clusters.csv").write_text(re.sub(r"(\.jpg),0,", r"\1,1,", text))


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


@pytest.mark.parametrize("kind", ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_equal_images_lie_on_one_spot(kind: str) -> None:
    if kind == "umap":
        pytest.importorskip("umap")
    assert (map_images(np.full((40, 5), 3, np.float32), kind, 0) == 0).all()
    for count in (3, 5, 16, 21):
        places = map_images(np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32), kind, 0)
        assert np.isfinite(places).all()


def test_a_damaged_table_is_told(copied: Path) -> None:
    text = (copied / "clusters.csv").read_text()
    (copied / "clusters.csv").write_text(text.replace("cluster", "custer", 1))
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

    monkeypatch.setattr("imgcluster.pipeline.write_report", full)
    folder = Path(json.loads((hostile / "run.json").read_text())["config"]["images"]["folder"])
    out = run_of(folder, tmp_path / "run")
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert "the run is done and written, but not its report: no space left" in caplog.text


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
