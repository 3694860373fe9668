#!/usr/bin/env bash
# PyAV: once frame.side_data has been looked at, the memory of the frame waits for Python's garbage collector.
#
# One would guess: a decoded frame is freed with its last name, as one that nobody asked for side data is, so that a loop
# over a video holds one frame, however long the video. Asking for the display matrix, of each frame, changes nothing.
# Seen: frame.side_data keeps a container that leads back to the frame, a cycle. Python's collector counts objects, and a
# frame is few objects and megabytes: 300 frames of 640 x 360 hold 198 MiB; with gc.disable() or a raised threshold, as
# short commands set it, nothing is ever freed.
# Do instead: av.sidedata.sidedata.SideDataContainer(frame), which the frame does not know of; or frame.rotation, which
# tells no mirroring; or gc.collect() every so many frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import gc
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info)


PICTURE = np.full((360, 640, 3), 100, np.uint8)


def resident():
    """Return the memory of this process in MiB."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def growth(look):
    """Return by how many MiB 300 frames, each dropped at once, have made the process larger."""
    gc.collect()
    before = resident()
    for _ in range(300):
        frame = av.VideoFrame.from_ndarray(PICTURE)
        look(frame)
        del frame
    return resident() - before


gc.disable()  # what a threshold that is not reached does
growth(lambda frame: None)
alone = growth(lambda frame: frame.rotation)
beside = growth(lambda frame: list(SideDataContainer(frame)))
asked = growth(lambda frame: list(frame.side_data))
print(f"rotation {alone:.0f} MiB, a container beside the frame {beside:.0f} MiB, side_data {asked:.0f} MiB")
assert alone < 10
assert beside < 10
assert asked > 60
PYTHON
