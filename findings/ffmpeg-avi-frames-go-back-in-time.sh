#!/usr/bin/env bash
# FFmpeg (by PyAV): the frames of an H.264 AVI with B-frames come in the right order with times that go back and forth.
#
# One would guess: decoded frames come in the order in which they are shown, so that their pts grow; a frame is at the
# second that its pts says, in every container that the decoder reads.
# Seen: AVI stores no presentation times, and pts is filled with decoding times: of 30 frames at 25 a second the first six
# are at 40, 160, 120, 200, 80 and 320 ms, while their pixels are in the right order. The same frames in Matroska and MP4
# are at 0, 40, 80, ... Frames chosen from an AVI by pts are other ones than those on the screen.
# Do instead: in containers without presentation times take the decoding times of the packets, sorted, and give them to
# the frames in the order in which they come.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/environment/bin/python" - "$folder" <<'PYTHON'
import sys
from fractions import Fraction

import av
import numpy as np

print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info)
COUNT = 30


def written(path):
    """Write 30 grey frames, each a little brighter than the one before."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * number, np.uint8))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read(path):
    """Return the times of the frames in milliseconds as they come, their greys, and the packets' sorted decoding times."""
    with av.open(path) as container:
        frames = [(round(1000 * frame.time), float(frame.to_ndarray().mean())) for frame in container.decode(video=0)]
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        decoding = sorted(round(1000 * packet.dts * packet.time_base) for packet in packets if packet.dts is not None)
    return [time for time, _ in frames], [grey for _, grey in frames], decoding


expected = [40 * number for number in range(COUNT)]
for ending in ("mkv", "mp4", "avi"):
    path = f"{sys.argv[1]}/a.{ending}"
    written(path)
    times, greys, decoding = read(path)
    assert greys == sorted(greys) and len(greys) == COUNT  # shown in the right order
    print(ending, times[:8], "growing" if times == sorted(set(times)) else "going back")
    if ending == "avi":
        assert times[:6] == [40, 160, 120, 200, 80, 320]
        assert decoding == expected
    else:
        assert times == expected
PYTHON
