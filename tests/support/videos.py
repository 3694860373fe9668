"""Make videos for tests with PyAV, and ask ffmpeg about them."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MILLISECOND = Fraction(1, 1000)
LEVELS = 12  # between the greys of frames: more than a codec changes them by


def grey(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Return a picture whose grey tells its number, from 0 to 19; size: width, height."""
    return np.full((size[1], size[0], 3), 10 + LEVELS * number, np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """Return the number that a `grey` picture tells."""
    return round((float(pixels.mean()) - 10) / LEVELS)


def encoded(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    *,
    stored: str = "rgb24",
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    **attributes: Any,
) -> Path:
    """Write a video. times: when each picture is shown, in milliseconds; by default 40 apart. stored: of the arrays.

    attributes: of the codec, such as `color_range`. Skips the test where PyAV or its encoder is missing.
    """
    av = pytest.importorskip("av", reason='needs PyAV: pip install "imgcluster[video]"')
    with av.open(str(path), "w") as container:
        try:
            stream = container.add_stream(codec, rate=25, options=options or {})
        except ValueError:
            pytest.skip(f"needs an FFmpeg with {codec}")
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = MILLISECOND
        stream.metadata.update(tags or {})
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format=stored)
            frame.pts, frame.time_base = 40 * number if times is None else int(times[number]), MILLISECOND
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def turned(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Put a display matrix into an MP4: it places a point (x, y) at (ax + cy, bx + dy)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 36  # version and flags, then times, ids, layer and volume (ISO/IEC 14496-12)
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def cut_by_edit_list(path: Path, skipped_ms: int) -> Path:
    """Have the edit list of an MP4 leave out its first milliseconds."""
    data = bytearray(path.read_bytes())
    at = data.index(b"mdhd") + 4 + 4 + 8
    (units,) = struct.unpack_from(">I", data, at)
    at = data.index(b"elst") + 4 + 4 + 4
    length, start = struct.unpack_from(">Ii", data, at)
    (movie_units,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 4 + 4 + 8)
    struct.pack_into(">Ii", data, at, length - skipped_ms * movie_units // 1000, start + skipped_ms * units // 1000)
    path.write_bytes(data)
    return path


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Return where the packets of a video begin and how many bytes they have, in the order of decoding."""
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'imgcluster[video]'")
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def cut_within(path: Path, number: int) -> Path:
    """Break a video off in the middle of a packet, by its number: however large an encoder makes the others."""
    (start, _), (end, _) = packets_of(path)[number : number + 2]
    path.write_bytes(path.read_bytes()[: (start + end) // 2])
    return path


def spoilt_within(path: Path, numbers: Iterable[int]) -> Path:
    """Spoil packets of an H.264 video in an MP4: what says how long their parts are."""
    data = bytearray(path.read_bytes())
    packets = packets_of(path)
    for number in numbers:
        data[packets[number][0] : packets[number][0] + 4] = b"\xff" * 4
    path.write_bytes(data)
    return path


def ffmpeg() -> str:
    """Return the ffmpeg of this machine. Skips the test where there is none."""
    found = shutil.which("ffmpeg")
    if found is None:
        pytest.skip("needs ffmpeg for a second opinion")
    return found


def times_by_ffmpeg(path: Path) -> list[float]:
    """Return the times at which ffmpeg shows the frames of a video, in seconds."""
    command = [
        ffmpeg(),
        "-hide_banner",
        "-i",
        str(path),
        "-map",
        "0:V:0",
        "-vf",
        "showinfo",
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [float(time) for time in re.findall(r"pts_time:\s*([-0-9.]+)", told)]


def pixels_by_ffmpeg(path: Path, filters: str = "null") -> np.ndarray:
    """Return the frames of a video as ffmpeg shows them, (n, height, width, 3) RGB uint8.

    Skips the test where it has not all of the filters.
    """
    there = subprocess.run([ffmpeg(), "-v", "error", "-filters"], capture_output=True, text=True, check=True).stdout
    if lacking := [name for name in re.findall(r"(?:^|,)(\w+)", filters) if f" {name} " not in there]:
        pytest.skip(f"needs an ffmpeg with the filters {lacking}")
    command = [ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:V:0", "-vf", filters]
    done = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "nut", "-c:v", "rawvideo", "-"],
        capture_output=True,
        check=True,
    )
    av = pytest.importorskip("av")
    with av.open(BytesIO(done.stdout)) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
