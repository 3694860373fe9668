"""Drawing primitives of the rendered scenes: shapes, light and dust."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from imgcluster.datasets.terrain import fractal, smoothstep, value_noise

SIZE = 512
V, U = (np.mgrid[:SIZE, :SIZE].astype(np.float32)) - (SIZE - 1) / 2  # pixels below, and right of, the middle
DUST = np.array([0.46, 0.64, 0.82], np.float32)

Point = tuple[float, float]
Colour = tuple[int, int, int]
Place = Callable[[float, float], Point]

_SHIFT = 4  # cv2 takes fixed-point coordinates: 4 bits of fraction keep slow motion smooth


def ramp(t: float, start: float, end: float) -> float:
    """0 before `start`, 1 after `end`, straight in between."""
    return min(max((t - start) / (end - start), 0.0), 1.0)


def canvas_of(frame: np.ndarray) -> np.ndarray:
    """The frame in bytes, which is what cv2 draws smooth edges on."""
    return np.asarray(np.clip(frame * 255, 0, 255), np.uint8)


def frame_of(canvas: np.ndarray) -> np.ndarray:
    """Back from bytes to 0..1."""
    return np.asarray(canvas / 255, np.float32)


def _fixed(points: Sequence[Point]) -> np.ndarray:
    """Points counted from the middle of the frame, as cv2 wants them."""
    return np.asarray(np.round((np.array(points) + SIZE / 2) * 2**_SHIFT), np.int32)


def polygon(canvas: np.ndarray, points: Sequence[Point], colour: Colour) -> None:
    """A filled polygon."""
    cv2.fillPoly(canvas, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def stroke(canvas: np.ndarray, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
    """A line through the points."""
    cv2.polylines(canvas, [_fixed(points)], False, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def cord(canvas: np.ndarray, far: Point, near: Point, widths: tuple[float, float], colour: Colour) -> None:
    """A straight cord that is wider at its near end."""
    across = np.array([far[1] - near[1], near[0] - far[0]])
    across = across / max(float(np.hypot(*across)), 1.0) / 2
    ends = [(far, widths[0]), (far, -widths[0]), (near, -widths[1]), (near, widths[1])]
    polygon(canvas, [(p[0] + w * across[0], p[1] + w * across[1]) for p, w in ends], colour)


def ellipse(centre: Point, axes: Point, angle: float = 0.0, steps: int = 64) -> list[Point]:
    """The outline of an ellipse; angle in radians."""
    turn = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    x, y = axes[0] * np.cos(turn), axes[1] * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    outline = np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)
    return [(float(px), float(py)) for px, py in outline]


def placed(scale: float, angle: float, centre: Point) -> Place:
    """A function from a thing's own metres (x right, y ahead) to the frame."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return lambda x, y: (float(centre[0] + cos * x + sin * y), float(centre[1] + sin * x - cos * y))


def blend(frame: np.ndarray, colour: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Lay a colour, or another frame, over the frame."""
    share = np.asarray(share, np.float32)
    share = share[..., None] if share.ndim == 2 else share
    return np.asarray(frame * (1 - share) + colour * share, np.float32)


def sky(top: float, bottom: float, roll: float = 0.0) -> np.ndarray:
    """Butterscotch, with a brightness for the top and for the bottom of the frame."""
    down = np.clip((V * np.cos(roll) - U * np.sin(roll)) / SIZE + 0.5, 0, 1)
    light = top + (bottom - top) * down + 0.03 * fractal(U / 160 + 5, V / 90, 4)
    return np.asarray(np.array([0.50, 0.68, 0.86], np.float32) * light[..., None])


def glare(frame: np.ndarray, centre: Point, strength: float) -> np.ndarray:
    """The sun, or its scattered light, in the optics."""
    distance = np.hypot(U - centre[0], V - centre[1])
    light = strength * (np.exp(-distance / 60) + 0.35 * np.exp(-distance / 220))
    return np.asarray(frame + light[..., None] * np.array([0.80, 0.92, 1.0], np.float32))


def plume_dust(frame: np.ndarray, centre: Point, clear: float, density: float, phase: float) -> np.ndarray:
    """Dust that is blown outwards in streaks from a middle that stays `clear` (pixels)."""
    x, y = U - centre[0], V - centre[1]
    distance = np.hypot(x, y) + 1
    along = np.log(distance) * 1.6 - phase
    streaks = fractal(x / distance * 7 + along, y / distance * 7 - along, 5, 0.62)
    billows = fractal(x / 95 + phase, y / 95 - phase, 4)
    outside = smoothstep(clear * 0.5, clear * 2.0, distance * (1 + 0.18 * streaks))
    share = np.clip(density * outside * (0.75 + 0.38 * streaks + 0.22 * billows), 0, 0.97)
    return blend(frame, DUST * (0.86 + 0.10 * billows + 0.08 * streaks)[..., None], share)


def speckle(frame: np.ndarray, mask: np.ndarray, strength: float) -> np.ndarray:
    """Wear and grain on what was drawn flat; mask in 0..1."""
    grain = strength * (value_noise(U / 3, V / 3) + fractal(U / 40, V / 40, 3))
    return np.asarray(frame * (1 + mask * grain)[..., None])
