"""Frames of a video at one a second: speed against PyAV alone, and memory by the length of the video."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from imgcluster.config import ImagesConfig
from imgcluster.images import bytes_of, decode_picture, find_images
from imgcluster.utils import cores
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.rows import Row

MINUTES = {False: 10, True: 1}  # by --quick
ROUNDS = {False: 3, True: 1}
RATE = 25  # frames per second
SIZE = (640, 360)

# Not ru_maxrss, which begins with that of the process that started this one.
MEMORY = """
import re, sys
from pathlib import Path
from tests.benchmarks.videos import by_us, by_pyav
{"us": by_us, "pyav": by_pyav}[sys.argv[1]](Path(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def videos(quick: bool) -> Iterator[Row]:
    """Decode one frame a second of a long video; the memory is that of a process that does nothing else."""
    with TemporaryDirectory() as folder:
        long, short = Path(folder, "long"), Path(folder, "short")
        _film(long, 60 * MINUTES[quick])
        _film(short, 20)
        rates = take_turns({"ours": lambda _: by_us(long), "pyav": lambda _: by_pyav(long)}, ROUNDS[quick])
        ours, theirs = (median(rates[name]) for name in ("ours", "pyav"))
        figure = f"frames/s, one a second of {MINUTES[quick]} min, {SIZE[0]}x{SIZE[1]}"
        ratio = median_ratio(rates["ours"], rates["pyav"])
        yield Row("videos", figure, f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}", ">= 0.8")
        peak, of_short = _megabytes("us", long), _megabytes("us", short)
        yield Row(
            "videos", "peak memory, against 20 s", f"{peak} MB", f"{of_short} MB", f"{peak / of_short:.2f}", "flat"
        )


def by_us(folder: Path) -> Sequence[np.ndarray]:
    """Read frames as an extraction does, with a thread for each core."""
    images = find_images(ImagesConfig(folder=str(folder), video={"every": "1 s"})).images
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(lambda image: decode_picture(bytes_of(image.path)).pixels[0, 0].copy(), images))


def by_pyav(folder: Path) -> Sequence[np.ndarray]:
    """Decode every frame, and convert one a second."""
    import av

    with av.open(str(next(folder.iterdir()))) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = enumerate(container.decode(stream))
        return [frame.to_ndarray(format="rgb24")[0, 0].copy() for number, frame in frames if number % RATE == 0]


def _film(folder: Path, seconds: int) -> None:
    """Write a video of noise that drifts."""
    import av

    folder.mkdir()
    ground = np.random.default_rng(0).integers(0, 255, (SIZE[1] // 8, SIZE[0] // 4, 3)).astype(np.uint8)
    ground = np.ascontiguousarray(ground.repeat(8, 0).repeat(8, 1))
    with av.open(str(folder / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(seconds * RATE):
            left = number % SIZE[0]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(ground[:, left : left + SIZE[0]]))
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def _megabytes(who: str, folder: Path) -> int:
    done = subprocess.run([sys.executable, "-c", MEMORY, who, str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])
