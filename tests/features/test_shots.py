"""Shots: cuts between frames by their features, and the frame that stands for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from imgcluster.features.result import Features
from imgcluster.features.shots import CUT, LEAST, cuts, only_shots, shots_of
from imgcluster.images.video.frames import VideoFile, VideoFrame
from imgcluster.types import Failure, ImageFile, Stamp


def scenes(lengths: tuple[int, ...], apart: float = 0.8, noise: float = 0.02) -> np.ndarray:
    """Return frames of scenes whose features have this cosine distance from one another, (n, 8) float32."""
    others = np.sqrt(1 - apart)
    centres = np.eye(8)[1:] * np.sqrt(apart) + np.eye(8)[0] * others
    frames = np.repeat(centres[np.arange(len(lengths))], lengths, axis=0)
    return (frames + np.random.default_rng(0).normal(0, noise, frames.shape)).astype(np.float32)


def film(name: str, count: int) -> list[ImageFile]:
    video = VideoFile(name, Stamp(name, 0, 0, 0), f"{count}.000")
    return [ImageFile(f"{name}#t={number}.000", VideoFrame(video, f"{number}.000")) for number in range(count)]


def test_cuts_are_where_scenes_change() -> None:
    assert cuts(scenes((5, 1, 7, 2))).tolist() == [5, 6, 13]
    assert cuts(scenes((12,))).tolist() == []
    assert cuts(scenes((1,))).tolist() == []


def test_a_small_change_is_a_cut_where_nothing_else_moves() -> None:
    assert LEAST < 0.2 < CUT
    assert cuts(scenes((6, 6), apart=0.2, noise=0.01)).tolist() == [6]
    restless = scenes((6, 6), apart=0.2, noise=0.15)
    assert 6 not in cuts(restless).tolist()


def test_the_length_of_features_is_no_matter() -> None:
    frames = scenes((5, 4))
    assert cuts(frames * np.linspace(0.1, 90, 9, dtype=np.float32)[:, None]).tolist() == [5]
    frames[2] = 0
    assert 5 in cuts(frames).tolist()


def test_the_middle_frame_stands_for_a_shot_and_pictures_for_themselves() -> None:
    pictures = [ImageFile(name, Path(name)) for name in ("x.png", "y.png")]
    images = [*film("a.mp4", 8), *pictures, *film("b.mp4", 5)]
    vectors = np.concatenate([scenes((5, 3)), scenes((1, 1)), scenes((5,))])
    features = Features(images, vectors, [], [], remarks={images[2]: "odd", images[3]: "odd too"}, content="abc")
    found = shots_of(features)
    assert found.ids == ["a.mp4#t=2.000", "a.mp4#t=6.000", "x.png", "y.png", "b.mp4#t=2.000"]
    assert [image.path.since for image in found.images if isinstance(image.path, VideoFrame)] == [
        "0.000",
        "5.000",
        "0.000",
    ]
    np.testing.assert_array_equal(found.vectors, vectors[[2, 6, 8, 9, 12]])
    assert [*found.remarks.values()] == ["odd"]
    assert found.notes == ["shots: 3 in 2 videos; took the middle frame of each, of 13 compared"]
    assert found.content != features.content
    lost = Failure(images[0], "damaged")
    assert [image.id for image in only_shots(images, replace(found, failures=[lost]))] == ["a.mp4#t=0.000", *found.ids]


def test_without_videos_nothing_changes() -> None:
    features = Features([ImageFile("x.png", Path("x.png"))], np.ones((1, 8), np.float32), [], [])
    assert shots_of(features) is features
