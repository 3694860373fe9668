"""Bad videos."""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.support.bad_input import RUN, case
from tests.support.videos import cut_within, encoded, grey, spoilt_within

GROUP = "videos"
VIDEO = (*RUN, "--set", "images.video={every: 40 ms}")
CUT = "truncated or damaged video"
DAMAGED = "damaged: no frame can be decoded at this time"
TOO_LARGE = "has frames of more than 67,108,864 pixels|damaged: no frame"


def _without_pyav() -> str | None:
    return None if find_spec("av") else 'needs PyAV: pip install "imgcluster[video]"'


def _video(name: str, says: str, spoil: Callable[[Path], object], failures: int) -> None:
    """Put a case into the catalogue, of files that `spoil` puts beside the pictures."""

    def spoil_pictures(own: Path) -> None:
        spoil(own / "pictures")

    case(name, GROUP, says, failures=failures, commands=(VIDEO,), skip=_without_pyav)(spoil_pictures)


def _noise(count: int = 30) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(count)]


def _written(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _cut(name: str) -> Callable[[Path], object]:
    return lambda folder: cut_within(encoded(folder / name, _noise(100), options={"g": "5", "bf": "0"}), 52)


_video("an empty video", "the file is empty", _written("a.mp4", b""), 1)
_video("noise, a text and a page, named as videos", "damaged, or not a video", lambda folder: [
    _written("a.mp4", np.random.default_rng(0).bytes(5000))(folder),
    _written("b.ts", b"export const answer = 42;\n" * 40)(folder),
    _written("c.webm", b"<!doctype html><html></html>")(folder),
], 3)  # fmt: skip
_video(
    "playlists named as videos, which lead to other files and to the network",
    "a text file, not a video",
    lambda folder: [
        _written("a.mp4", b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")(folder),
        _written("b.mkv", b"ffconcat version 1.0\nfile /etc/passwd\n")(folder),
    ],
    2,
)
_video("an MP4 that breaks off before its index", CUT, _cut("a.mp4"), 1)
_video("a Matroska that breaks off", "a.mkv breaks off after 52 frames", _cut("a.mkv"), 0)
_video("an MPEG transport stream that breaks off", "the video breaks off after 52 frames", _cut("a.ts"), 1)


_video("a video with damage in its middle", DAMAGED, lambda folder: spoilt_within(
    encoded(folder / "a.mp4", _noise(60), options={"g": "6", "bf": "0"}), (20, 22, 23, 35)
), 4)  # fmt: skip


def _of_size(side: int) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = encoded(folder / "a.avi", [grey(1)], "ffv1", "bgr0")
        data = bytearray(path.read_bytes())
        at = data.index(b"strf") + 4 + 4 + 4
        data[at : at + 8] = struct.pack("<2i", side, side)
        path.write_bytes(data)

    return spoil


for _side in (9_000, 100_000):
    _video(f"a video whose header says {_side:,} x {_side:,} pixels", TOO_LARGE, _of_size(_side), 1)


@case(
    "a video whose times jump by a year, which are all that --set images.video asks for",
    GROUP,
    "images +1[34]",
    commands=(VIDEO,),
    skip=_without_pyav,
)
def _(own: Path) -> None:
    encoded(own / "pictures" / "a.mkv", [grey(1), grey(2)], times=[0, 365 * 24 * 3_600_000])


@case("a video without the key images.video", GROUP, r"set images\.video", skip=_without_pyav)
def _(own: Path) -> None:
    encoded(own / "pictures" / "a.mp4", [grey(1)])


@case(
    "a way to choose frames that is none",
    GROUP,
    r"images\.video \(--set\): every: found '1 day'",
    exit_code=1,
    commands=((*RUN, "--set", "images.video={every: 1 day}"),),
)
def _(own: Path) -> None:
    pass
