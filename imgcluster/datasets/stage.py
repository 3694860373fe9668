"""Sample `stage`: a rover's descent to Mars in 160 rendered frames and five stages."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from imgcluster.datasets import flight, landing
from imgcluster.datasets.drawing import DUST, SIZE, U, V, blend, canvas_of
from imgcluster.datasets.files import Sample
from imgcluster.datasets.terrain import fractal
from imgcluster.images import jpeg

SEED = 7
FRAME_BYTES = 27_000  # what a frame may take, like a downlink that gives every frame the same share

Scene = Callable[[float, np.random.Generator], np.ndarray]

# The scenes in order of time, the number of frames of each, and how hard the camera shakes (pixels).
STAGES: tuple[tuple[Scene, int, float], ...] = (
    (flight.entry, 24, 5.0),
    (flight.parachute, 36, 6.0),
    (flight.descent, 48, 3.0),
    (landing.skycrane, 28, 3.0),
    (landing.touchdown, 24, 0.7),
)
FRAMES = sum(count for _, count, _ in STAGES)

# The on-board cameras differ in saturation, in blue and red gain, and in grain; every stage was seen by all of them.
CAMERAS = ((1.0, 1.0, 1.0, 0.016), (0.75, 1.05, 0.98, 0.022), (0.88, 0.95, 1.04, 0.028))


def sample() -> Sample:
    """Five classes, the stages, in order of time."""
    labels = [label for label, (_, count, _) in enumerate(STAGES) for _ in range(count)]
    return Sample(labels, (encode(render(number)) for number in range(FRAMES)), ".jpg")


def render(number: int) -> np.ndarray:
    """One frame, 512x512 BGR. Every frame has its own generator, so any of them can be made alone."""
    rng = np.random.default_rng([SEED, number])
    label, time = _moment(number)
    scene, _, shake = STAGES[label]
    frame = _shaken(scene(time, rng), shake, rng)
    frame = _seen(frame, CAMERAS[rng.integers(len(CAMERAS))], rng)
    return _with_telemetry(canvas_of(frame), number, rng)


def encode(pixels: np.ndarray) -> bytes:
    """JPEG of the best quality that keeps within the frame's share."""
    for quality in range(88, 19, -4):
        data = jpeg(pixels[..., ::-1], quality)
        if len(data) <= FRAME_BYTES:
            break
    return data


def _moment(number: int) -> tuple[int, float]:
    """The stage of a frame, and the time within that stage."""
    for label, (_, count, _) in enumerate(STAGES):
        if number < count:
            return label, number / (count - 1)
        number -= count
    raise IndexError("there is no such frame")


def _shaken(frame: np.ndarray, shake: float, rng: np.random.Generator) -> np.ndarray:
    """The camera moves: between frames, and while the shutter is open."""
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.normal(0, shake * 0.8), 1.06)
    turn = turn + np.array([[0, 0, rng.normal(0, shake)], [0, 0, rng.normal(0, shake)]])
    frame = cv2.warpAffine(frame, turn, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    length = min(int(rng.exponential(0.55 * shake)), 9) * 2 + 1
    level = np.zeros((length, length), np.float32)
    level[length // 2] = 1
    spin = cv2.getRotationMatrix2D((length // 2, length // 2), rng.uniform(0, 180), 1)
    trail = cv2.warpAffine(level, spin, (length, length))
    return np.asarray(cv2.filter2D(frame, -1, trail / trail.sum()))


def _seen(frame: np.ndarray, camera: tuple[float, float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Exposure, colour, vignette, haze and grain."""
    saturation, blue, red, grain = camera
    if rng.random() < 0.15:
        frame = blend(frame, DUST, np.clip(0.25 + 0.2 * fractal(U / 210 + rng.uniform(0, 99), V / 210, 3), 0, 0.6))
    grey = frame.mean(axis=-1, keepdims=True)
    frame = grey + (frame - grey) * saturation
    balance = np.array([blue, 1.0, red]) * np.exp(rng.normal(0, 0.025, 3)) * np.exp(rng.normal(0, 0.07))
    vignette = 1 - rng.uniform(0.2, 0.45) * (U**2 + V**2) / (SIZE**2 / 2)
    frame = np.maximum(frame * balance.astype(np.float32) * vignette[..., None], 0) ** rng.uniform(0.94, 1.06)
    noise = rng.standard_normal((SIZE, SIZE, 1), np.float32) + 0.4 * rng.standard_normal((SIZE, SIZE, 3), np.float32)
    return np.asarray(frame + grain * rng.uniform(0.6, 1.2) * noise)


def _with_telemetry(canvas: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """The same lines of text in every stage; only the digits change."""
    clock = 40.0 + 2.61 * number
    frame, code = number * 74 + rng.integers(74), rng.integers(0, 256, 2)
    lines = {
        (14, 24): f"EDL CAM {rng.integers(1, 7)}  SOL 0000",
        (14, 40): f"T+{int(clock // 60):02d}:{clock % 60:05.2f}",
        (14, 498): f"FRM {frame:05d}  GAIN {rng.uniform(0.5, 8):04.1f}  EXP {rng.integers(1, 30):02d} MS",
        (400, 24): f"UHF {rng.uniform(-128, -95):06.1f}",
        (400, 498): f"Q{code[0]:02X}{code[1]:02X} {rng.integers(0, 1000):03d}",
    }
    for place, text in lines.items():
        for colour, width in (((20, 20, 20), 2), ((225, 232, 235), 1)):
            cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, width, cv2.LINE_AA)
    return canvas
