"""Videos through the whole pipeline: store, resume, tables, submission, report, and the commands on a finished run."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgcluster
from imgcluster.config import Config, config_from_dict
from imgcluster.errors import ConfigError, ImageError, OutputError
from imgcluster.images import open_again, read_image
from imgcluster.images.video.movie import Movie
from imgcluster.images.video.track import Track
from imgcluster.report import write_report
from imgcluster.runs.folder_export.parts import rendered
from tests.conftest import COLOURS, write_picture
from tests.support.extras import without
from tests.support.videos import encoded

SCENES = {"a.mp4": (0, 1, 2), "b.mkv": (2, 0)}  # a second each, by its colour


def scene(number: int, seed: int) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 40, (96, 96, 3)) + COLOURS[number]
    if number == 1:
        picture[:, ::8] = picture[:, 1::8] = 255
    elif number == 2:
        picture[24:72, 24:72] = (250, 200, 0)
    return picture.clip(0, 255).astype(np.uint8)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of two videos of scenes in three colours, and a picture in the first one."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name, scenes in SCENES.items():
        frames = [scene(number, 25 * place + frame) for place, number in enumerate(scenes) for frame in range(25)]
        encoded(folder / name, frames, options={"g": "10"})
    write_picture(folder / "c.png", scene(0, 99))
    return folder


def config(films: Path, video: dict[str, Any] | None = None, *, folder: str = "out", **outputs: Any) -> Config:
    home = films.parent
    return config_from_dict(
        {
            "images": {"folder": str(films), "video": {"every": "200 ms"} if video is None else video},
            "features": {"backbone": "efficientnet_lite0", "batch_size": 4, "store": str(home / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3, "numbering": "first_appearance"},
            "outputs": {"folder": str(home / folder), "report": False, **outputs},
        }
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


SEGMENTS = [
    {"video": "a.mp4", "start": "0.000", "end": "1.000", "cluster": "0"},
    {"video": "a.mp4", "start": "1.000", "end": "2.000", "cluster": "1"},
    {"video": "a.mp4", "start": "2.000", "end": "3.000", "cluster": "2"},
    {"video": "b.mkv", "start": "0.000", "end": "1.000", "cluster": "2"},
    {"video": "b.mkv", "start": "1.000", "end": "2.000", "cluster": "0"},
]


def test_frames_become_clusters_segments_and_rows(films: Path) -> None:
    run = imgcluster.run(config(films), show=False)
    rows = table(run.folder / "clusters.csv")
    assert len(rows) == 15 + 10 + 1
    assert [row["id"] for row in rows][:2] == ["a.mp4#t=0.000", "a.mp4#t=0.200"]
    assert rows[0]["path"] == f"{films}/a.mp4#t=0.000"
    assert table(run.folder / "segments.csv") == SEGMENTS
    assert [row["id"] for row in table(run.folder / "submission.csv")] == [row["id"] for row in rows]
    versions = json.loads((run.folder / "run.json").read_text())["versions"]
    assert versions["av"]
    assert versions["ffmpeg"]


def test_a_submission_by_segment_has_pictures_too(films: Path) -> None:
    run = imgcluster.run(config(films, rows="segments", label_offset=1), show=False)
    expected = [{**row, "label": str(int(row["cluster"]) + 1)} for row in SEGMENTS]
    for row in expected:
        del row["cluster"]
    assert table(run.folder / "submission.csv") == [*expected, {"video": "c.png", "start": "", "end": "", "label": "1"}]


def test_a_submission_by_segment_needs_videos(films: Path) -> None:
    plain = config(films, rows="segments")
    for number in range(3):
        write_picture(films / f"{number}.png", scene(number, number))
    without = plain.model_copy(update={"images": plain.images.model_copy(update={"video": None})})
    with pytest.raises(ConfigError, match=r"outputs\.rows"):
        imgcluster.run(without, show=False)


def test_frames_in_the_store_are_not_decoded_again(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = imgcluster.run(config(films, {"every": "400 ms"}, folder="first"), show=False)
    assert first.features.origins[0].computed == 8 + 5 + 1
    second = imgcluster.run(config(films), show=False)
    assert second.features.origins[0].reused == 8 + 5 + 1
    assert second.features.origins[0].computed == 26 - 14

    def frames(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(Movie, "frames", frames)
    again = imgcluster.run(config(films), show=False)
    assert again.features.origins[0].computed == 0
    np.testing.assert_array_equal(again.features.vectors, second.features.vectors)


def test_a_video_that_was_moved_is_known_by_its_pixels(films: Path) -> None:
    before = imgcluster.run(config(films), show=False)
    (films / "a.mp4").rename(films / "z.mp4")
    after = imgcluster.run(config(films, folder="moved"), show=False)
    assert after.features.origins[0].computed == 0
    assert len(after.images) == len(before.images)


def test_videos_that_fail_are_failures_of_the_run(films: Path) -> None:
    (films / "cut.mp4").write_bytes((films / "a.mp4").read_bytes()[:3000])
    (films / "text.webm").write_text("no video\n")
    run = imgcluster.run(config(films), show=False)
    reasons = {failure.image.id: failure.reason for failure in run.features.failures}
    assert reasons == {"cut.mp4": "truncated or damaged video", "text.webm": "a text file, not a video"}
    assert {row["video"] for row in table(run.folder / "segments.csv")} == {"a.mp4", "b.mkv"}


def test_animations_need_no_pyav(tmp_path: Path) -> None:
    frames = [Image.fromarray(scene(number % 3, number)) for number in range(6)]
    folder = tmp_path / "films"
    folder.mkdir()
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=200)
    with without("av"):
        run = imgcluster.run(config(folder), show=False)
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    assert record["counts"]["clustered"] == 6
    assert "ffmpeg" not in record["versions"]


def test_the_report_has_a_filmstrip_also_when_it_is_made_again(films: Path) -> None:
    run = imgcluster.run(config(films, report=True, contact_sheets=True), show=False)
    page = run.folder / "report" / "index.html"
    first = page.read_text(encoding="utf-8")
    assert first.count('class="strip"') == 2
    for text in ("5 segments", "0:01.0–0:02.0", "cluster 2", "a.mp4#t=0.400"):
        assert text in first
    assert "could not be read" not in first
    assert len(list((run.folder / "report" / "t").glob("*/*.jpg"))) == 26
    write_report(run.folder, show=False)
    assert page.read_text(encoding="utf-8").count('class="strip"') == 2


def test_shots_are_found_and_stand_for_their_frames(films: Path) -> None:
    run = imgcluster.run(config(films, {"shots": True, "every": "200 ms"}, report=True), show=False)
    ids = [row["id"] for row in table(run.folder / "clusters.csv")]
    assert ids == ["a.mp4#t=0.400", "a.mp4#t=1.400", "a.mp4#t=2.400", "b.mkv#t=0.400", "b.mkv#t=1.400", "c.png"]
    assert table(run.folder / "segments.csv") == SEGMENTS
    assert (run.folder / "report" / "index.html").read_text(encoding="utf-8").count('class="strip"') == 2


def test_a_run_without_videos_leaves_no_segments_behind(films: Path) -> None:
    run = imgcluster.run(config(films), show=False)
    assert (run.folder / "segments.csv").is_file()
    for number in range(4):
        write_picture(films / f"{number}.png", scene(number % 3, number))
    plain = config(films)
    without = plain.model_copy(update={"images": plain.images.model_copy(update={"video": None})})
    imgcluster.run(without, force=True, show=False)
    assert not (run.folder / "segments.csv").exists()


def test_frames_are_named_by_a_table(films: Path) -> None:
    rows = ["b.mkv#t=1.500", "c.png", "a.mp4#t=0.04", "a.mp4#t=2.999"]
    (films.parent / "ids.csv").write_text("id\n" + "".join(f"{row}\n" for row in rows))
    plain = config(films)
    images = plain.images.model_copy(update={"ids": str(films.parent / "ids.csv"), "file": "{id}"})
    run = imgcluster.run(plain.model_copy(update={"images": images}), show=False)
    assert [(row["id"], row["cluster"]) for row in table(run.folder / "clusters.csv")] == [
        (rows[0], "0"),
        (rows[1], "0"),
        (rows[2], "0"),
        (rows[3], "1"),
    ] or len({row["cluster"] for row in table(run.folder / "clusters.csv")}) == 3
    assert {row["status"] for row in table(run.folder / "clusters.csv")} == {"ok"}


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("a.mp4#t=99", "the video ends at 3.000 s"),
        ("a.mp4#t=1:05", "not a time in seconds, such as a.mp4#t=1.5"),
        ("d.mp4#t=1", "a text file, not a video"),
    ],
)
def test_a_wrong_time_in_a_table_has_its_reason(
    films: Path, monkeypatch: pytest.MonkeyPatch, id: str, reason: str
) -> None:
    (films / "d.mp4").write_text("no video")
    (films.parent / "ids.csv").write_text(f"id\nb.mkv#t=1.5\nc.png\na.mp4#t=1\n{id}\n")
    plain = config(films)
    images = plain.images.model_copy(update={"ids": str(films.parent / "ids.csv"), "file": "{id}"})
    with pytest.raises(ImageError, match=re.escape(f"row 4: id {id!r}: {reason}; correct it, or set images.missing")):
        imgcluster.check(plain.model_copy(update={"images": images}))
    skipping = plain.model_copy(update={"images": images.model_copy(update={"missing": "skip"})})
    with monkeypatch.context() as earlier:  # a version that took the last frame for each time behind the end
        earlier.setattr(Track, "is_over_at", lambda *args: False)
        imgcluster.run(skipping, show=False)
    run = imgcluster.run(skipping, show=False)
    assert [(failure.image.id, failure.reason) for failure in run.features.failures] == [(id, reason)]
    (films.parent / "ids.csv").write_text("id\nb.mkv#t=1.5\nc.png\na.mp4#t=1\ne.mp4#t=1\n")
    with pytest.raises(ImageError, match=r"1 of 4 ids have no file: 'e\.mp4#t=1'"):
        imgcluster.check(plain.model_copy(update={"images": images}))


def test_new_videos_are_placed_into_the_clusters_of_a_run(films: Path, tmp_path: Path) -> None:
    run = imgcluster.run(config(films), show=False)
    new = tmp_path / "new"
    new.mkdir()
    encoded(new / "n.mp4", [scene(2, 500 + frame) for frame in range(10)])
    placed = imgcluster.assign(run.folder, new, show=False)
    assert [image.id for image in placed.images] == ["n.mp4#t=0.000", "n.mp4#t=0.200"]
    assert placed.placed.labels.tolist() == [2, 2]


def test_one_new_video_is_placed_too_and_a_frame_by_its_name(films: Path, tmp_path: Path) -> None:
    run = imgcluster.run(config(films), show=False)
    clip = encoded(tmp_path / "n.mp4", [scene(2, 500 + frame) for frame in range(10)])
    found = {"n.mp4#t=0.000": 2, "n.mp4#t=0.200": 2}
    placed = imgcluster.assign(run.folder, clip, show=False)
    assert dict(zip(placed.features.ids, placed.placed.labels.tolist(), strict=True)) == found
    placed = imgcluster.assign(run.folder, [clip, films / "c.png"], show=False)
    assert [image.id for image in placed.images] == [*(f"{clip.parent}/{id}" for id in found), f"{films}/c.png"]
    placed = imgcluster.assign(run.folder, f"{clip}#t=0.100", show=False)
    assert [image.id for image in placed.images] == ["n.mp4#t=0.100"]
    assert placed.placed.labels.tolist() == [2]


def test_a_model_of_frames_labels_the_frames_of_new_videos(films: Path, tmp_path: Path) -> None:
    run = imgcluster.run(config(films), show=False)
    labels = [
        f"{row['id']},{'red' if row['cluster'] == '0' else 'other'}" for row in table(run.folder / "clusters.csv")
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["id,label", *labels]), encoding="utf-8")
    imgcluster.learn(run.folder, tmp_path / "labels.csv", out=tmp_path / "model", show=False)
    assert json.loads((tmp_path / "model" / "model.json").read_bytes())["images"] == {"video": {"every": "200 ms"}}
    clip = encoded(tmp_path / "n.mp4", [scene(0, 500 + frame) for frame in range(10)])
    found = imgcluster.predict(tmp_path / "model", clip, show=False)
    assert found.features.ids == ["n.mp4#t=0.000", "n.mp4#t=0.200"]
    assert found.labels == ["red", "red"]


def test_one_video_is_refused_where_no_frames_are_asked_for(films: Path, tmp_path: Path) -> None:
    (films / "a.mp4").unlink()
    clip = (films / "b.mkv").rename(tmp_path / "b.mkv")
    plain = config(films)
    images = plain.images.model_copy(update={"video": None})
    clusters = plain.clusters.model_copy(update={"n_clusters": 1})
    run = imgcluster.run(plain.model_copy(update={"images": images, "clusters": clusters}), show=False)
    for refused in (
        lambda: imgcluster.assign(run.folder, clip, show=False),
        lambda: imgcluster.image_distances(clip, films / "c.png", backbone="efficientnet_lite0"),
    ):
        with pytest.raises(ImageError, match=r"is a video; name one of its frames, such as 'b\.mkv#t=1\.500'"):
            refused()
    first, second = (
        imgcluster.image_distances(f"{clip}#t={time}", f"{clip}#t=0.000", backbone="efficientnet_lite0")
        for time in ("0.040", "1.500")
    )
    assert first["b.mkv#t=0.040"] < second["b.mkv#t=1.500"]
    with pytest.raises(ImageError, match=r"the video ends at [0-9.]+ s"):
        imgcluster.image_distances(f"{clip}#t=0.040", f"{clip}#t=99", backbone="efficientnet_lite0")
    with pytest.raises(ImageError, match=r"the video ends at [0-9.]+ s"):
        imgcluster.assign(run.folder, f"{clip}#t=99", show=False)


def test_frames_are_exported_as_pictures_and_taken_back(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (films / "d.mp4").write_bytes(b"no video")
    run = imgcluster.run(config(films, {"frames": 3}), show=False)
    out = films.parent / "exported"
    for action in ("link", "move"):
        with pytest.raises(OutputError, match=r"is a frame of a video, and no file .* use --copy"):
            imgcluster.export_folders(run.folder, out, action)
    rows = [row for row in table(run.folder / "clusters.csv") if row["status"] == "ok"]
    done = imgcluster.export_folders(run.folder, out)
    assert (done.placed, done.missing, done.refused) == (len(rows) + 1, [], {})
    assert (out / "failed" / "d.mp4").read_bytes() == b"no video"
    for row in rows:
        copy = out / f"{int(row['cluster']):02d}" / (row["id"] if row["id"] == "c.png" else f"{row['id']}.png")
        np.testing.assert_array_equal(read_image(copy), read_image(open_again(f"{films}/{row['id']}")))
    assert imgcluster.export_folders(run.folder, out).placed == 0
    first, second, *_ = sorted(out.rglob("*#t=*.png"))
    os.utime(first)  # as it was, but for its time
    second.write_bytes(b"drawn over")
    undone = imgcluster.undo_export(out)
    assert (undone.back, list(undone.left.values())) == (len(rows), ["it has changed since"])
    assert [path for path in out.rglob("*") if path.is_file()] == [second]
    assert (films / "a.mp4").exists()


def test_an_export_of_frames_goes_on_after_a_kill(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = imgcluster.run(config(films, {"frames": 3}), show=False)
    out, written = films.parent / "exported", []

    def killed(source: str) -> bytes:
        written.append(source)
        if len(written) == 3:
            raise KeyboardInterrupt
        return rendered(source)

    with monkeypatch.context() as patch:
        patch.setattr("imgcluster.runs.folder_export.apply.rendered", killed)
        with pytest.raises(KeyboardInterrupt):
            imgcluster.export_folders(run.folder, out)
    assert len(list(out.rglob("*.png"))) == 2
    assert imgcluster.export_folders(run.folder, out).placed == 7 - 2
    assert len(list(out.rglob("*.png"))) == 7
