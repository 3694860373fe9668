"""Render sky crane and touchdown: time within a stage (0..1) to a frame (BGR, 0..1)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgcluster.datasets.drawing import (
    DUST,
    SIZE,
    Colour,
    Place,
    Point,
    U,
    V,
    blend,
    canvas_of,
    cord,
    ellipse,
    frame_of,
    glare,
    placed,
    plume_dust,
    polygon,
    ramp,
    sky,
    speckle,
    stroke,
)
from imgcluster.datasets.flight import from_above
from imgcluster.datasets.terrain import fractal, ground, smoothstep, value_noise

# ---- 3: sky crane


def skycrane(t: float, rng: np.random.Generator) -> np.ndarray:
    """The rover on its bridles, mostly from the descent stage down, now and then from the rover up."""
    if math.sin(31 * t) > 0.8:
        return _up_to_descent_stage(t, rng)
    sway, turn = (38 * math.sin(8 * t), 24 * math.cos(6 * t)), 0.5 * math.sin(4 * t) + 0.25
    frame = from_above(20 - 9 * t, 0.9 + turn, (0, 0))
    place = placed(82 - 26 * ramp(t, 0.0, 0.75), turn, sway)
    strength = rng.uniform(0.75, 1.1)
    frame = _shadow_of_rover(frame, place, 36 - 26 * t)
    frame = plume_dust(frame, sway, 150 - 60 * t, (0.62 + 0.35 * ramp(t, 0.1, 0.9)) * strength, 15 * t)
    frame = _rover(frame, place)
    frame = _bridles(frame, place)
    return plume_dust(frame, sway, 260 - 110 * t, 0.45 * strength * ramp(t, 0.35, 1.0), 19 * t)


Box = tuple[float, float, float, float]
# The rover from above, in metres (left, rear, right, front), drawn in this order.
_ROVER: list[tuple[Box, Colour]] = [
    *(((x - 0.2, y - 0.27, x + 0.2, y + 0.27), (46, 48, 52)) for x in (-1.15, 1.15) for y in (-1.15, 0.0, 1.2)),
    ((-1.0, 0.30, -0.8, 1.2), (120, 124, 128)),
    ((0.8, 0.30, 1.0, 1.2), (120, 124, 128)),
    ((-1.0, -1.2, -0.85, 0.4), (104, 108, 112)),
    ((0.85, -1.2, 1.0, 0.4), (104, 108, 112)),
    ((-0.34, -1.62, 0.34, -0.9), (58, 60, 64)),
    *(((x, -1.66, x + 0.05, -0.95), (98, 100, 102)) for x in (-0.4, -0.25, -0.1, 0.05, 0.2, 0.35)),
    ((-0.80, -1.0, 0.80, 0.95), (196, 202, 206)),
    ((-0.72, -0.92, 0.72, 0.86), (168, 176, 182)),
    ((-0.62, -0.85, -0.05, -0.25), (206, 210, 212)),
    ((0.05, -0.85, 0.66, -0.45), (88, 132, 168)),
    ((0.12, -0.35, 0.66, 0.18), (214, 217, 218)),
    ((-0.62, -0.15, -0.02, 0.22), (120, 128, 134)),
    ((-0.70, 0.36, 0.28, 0.52), (226, 228, 228)),
    ((-0.86, 0.28, -0.58, 0.60), (232, 234, 234)),
    ((0.36, 0.40, 0.68, 0.80), (96, 102, 108)),
    ((-0.45, 0.95, 0.55, 1.10), (148, 152, 156)),
    ((0.28, 0.98, 0.72, 1.42), (108, 112, 118)),
    ((-0.60, 1.0, -0.40, 1.5), (150, 154, 158)),
]
_ANCHORS = ((-0.55, 0.62), (0.55, 0.62), (0.0, -0.62))


def _rover(frame: np.ndarray, place: Place) -> np.ndarray:
    canvas, mask = canvas_of(frame), np.zeros((SIZE, SIZE, 3), np.uint8)
    for (left, rear, right, front), colour in _ROVER:
        corners = [place(left, rear), place(right, rear), place(right, front), place(left, front)]
        polygon(canvas, corners, colour)
        polygon(mask, corners, (255, 255, 255))
        stroke(canvas, [*corners, corners[0]], (70, 74, 80))
    _fittings(canvas, place)
    return speckle(frame_of(canvas), mask[..., 0] / 255, 0.10)


def _fittings(canvas: np.ndarray, place: Place) -> None:
    """Treads, the antenna, the head of the mast: what makes it a rover."""
    unit = math.dist(place(0, 0), place(1, 0))
    for x in (-1.15, 1.15):
        for y in (*np.arange(-1.4, -0.9, 0.09), *np.arange(-0.25, 0.27, 0.09), *np.arange(0.95, 1.47, 0.09)):
            stroke(canvas, [place(x - 0.19, float(y)), place(x + 0.19, float(y))], (104, 106, 110))
    hexagon = [
        place(0.38 + 0.26 * math.cos(k * math.pi / 3), -0.1 + 0.26 * math.sin(k * math.pi / 3)) for k in range(6)
    ]
    polygon(canvas, hexagon, (150, 182, 204))
    stroke(canvas, [*hexagon, hexagon[0]], (84, 96, 110), unit / 40)
    for x, y, radius in ((-0.72, 0.44, 0.07), (-0.35, -0.55, 0.12), (0.5, 0.6, 0.06), (-0.3, 0.04, 0.07)):
        polygon(canvas, ellipse(place(x, y), (radius * unit, radius * unit)), (44, 48, 54))
    for x, y in _ANCHORS:
        polygon(canvas, ellipse(place(x, y), (0.06 * unit, 0.06 * unit)), (40, 44, 200))


def _shadow_of_rover(frame: np.ndarray, place: Place, distance: float) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE, 3), np.uint8)
    for (left, rear, right, front), _ in _ROVER:
        polygon(mask, [place(left, rear), place(right, rear), place(right, front), place(left, front)], (255, 255, 255))
    move = np.array([[1, 0, 2.2 * distance], [0, 1, 1.5 * distance]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(mask, move, (SIZE, SIZE)), (0, 0), 3 + distance / 5)
    return np.asarray(frame * (1 - 0.7 * shadow.astype(np.float32) / 255))


def _bridles(frame: np.ndarray, place: Place) -> np.ndarray:
    canvas = canvas_of(frame)
    for (x, y), top in zip(_ANCHORS, ((-150, -300), (190, -300), (20, 330)), strict=True):
        cord(canvas, place(x, y), top, (1.8, 10), (188, 200, 210))
    along = np.linspace(0, 1, 60)
    start, end = place(-0.3, 0.04), (-330.0, 60.0)
    curl = 9 * np.sin(along * 40) * along
    umbilical = [
        (start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s + c)
        for s, c in zip(along, curl, strict=True)
    ]
    stroke(canvas, umbilical, (60, 64, 70), 3)
    return frame_of(canvas)


def _up_to_descent_stage(t: float, rng: np.random.Generator) -> np.ndarray:
    frame = sky(0.8, 0.68, 2 * t)
    centre, size = (30 * math.sin(9 * t), -40 + 25 * math.cos(7 * t)), 120 - 45 * t
    place = placed(size, 0.6 * math.sin(3 * t), centre)
    canvas = canvas_of(frame)
    for foot, (x, y) in zip(((-200, 300), (210, 300), (10, 310)), ((-0.25, -0.2), (0.25, -0.2), (0, 0.2)), strict=True):
        cord(canvas, place(x, y), foot, (1.5, 8), (70, 80, 92))
    _descent_stage(canvas, place, size)
    frame = frame_of(canvas)
    for x, y in ((-0.86, -0.62), (0.86, -0.62), (-0.86, 0.62), (0.86, 0.62)):
        frame = glare(frame, place(x * 1.08, y * 1.08), 0.28 * rng.uniform(0.6, 1.2))
    return plume_dust(frame, centre, 330 - 150 * t, 0.7 * ramp(t, 0.0, 0.8), 11 * t)


def _descent_stage(canvas: np.ndarray, place: Place, size: float) -> None:
    """Eight-sided body, round tanks, and an engine pod on each of four corners."""
    for x, y in ((-0.86, -0.62), (0.86, -0.62), (-0.86, 0.62), (0.86, 0.62)):
        cord(canvas, place(0.4 * x, 0.4 * y), place(x, y), (0.2 * size, 0.14 * size), (58, 66, 76))
        polygon(canvas, ellipse(place(x, y), (0.17 * size, 0.15 * size)), (40, 46, 54))
        polygon(canvas, ellipse(place(x * 1.08, y * 1.08), (0.09 * size, 0.08 * size)), (150, 200, 236))
    outline = [place(0.62 * math.cos(a), 0.5 * math.sin(a)) for a in np.arange(8) * math.pi / 4 + math.pi / 8]
    polygon(canvas, outline, (70, 80, 90))
    for x, y in ((-0.3, 0.0), (0.3, 0.0), (0.0, 0.26), (0.0, -0.26)):
        polygon(canvas, ellipse(place(x, y), (0.15 * size, 0.15 * size)), (112, 136, 158))
        polygon(canvas, ellipse(place(x - 0.03, y + 0.03), (0.07 * size, 0.07 * size)), (164, 186, 202))


# ---- 4: touchdown

_WHEELS: tuple[tuple[Point, float], ...] = (((-165, 150), 150), ((190, 165), 130))


def touchdown(t: float, rng: np.random.Generator) -> np.ndarray:
    """On the ground: the horizon, a wheel, rocks, and the dust that settles."""
    camera = int(t * 6) % 3  # two hazard cameras low at the wheels, and the mast
    horizon, eye = (-110.0, -60.0, -150.0)[camera], (0.7, 0.6, 1.9)[camera]
    frame = _landscape(horizon, eye, 40.0 * camera + 6)
    frame = _boulders(frame, horizon, eye, camera)
    frame = _deck(frame) if camera == 2 else _wheel(frame, *_WHEELS[camera])
    settling = math.exp(-3.4 * t)
    veil = settling * (0.72 + 0.25 * fractal(U / 190 + 3 * t, V / 90, 4))
    low = smoothstep(horizon - 130, horizon + 30, V) * 0.75 + 0.25
    return blend(frame, DUST * rng.uniform(0.85, 1.0), np.clip(veil * low, 0, 0.9))


def _landscape(horizon: float, eye: float, seed: float) -> np.ndarray:
    focal = 340.0
    below = np.maximum(V - horizon, 0.8)
    ahead = eye * focal / below
    aside = U * ahead / focal
    land = ground(aside + 130 + seed, ahead + 77, np.maximum(ahead / focal, ahead**2 / (eye * focal) * 0.3), 30)
    land = blend(land, DUST * 0.92, 0.8 * (1 - np.exp(-ahead / 60)))
    frame = sky(0.95, 1.12)
    for level, height, width in ((0.55, 26, 120), (0.3, 12, 60)):
        crest = horizon - height * (0.6 + fractal(U / width + seed, np.full_like(U, seed), 4))
        frame = blend(
            frame,
            blend(DUST * 0.9, np.array([0.26, 0.38, 0.54], np.float32), 0.9 - level),
            smoothstep(-1, 1, V - crest),
        )
    return blend(frame, land, smoothstep(-1.5, 1.5, V - horizon))


def _boulders(frame: np.ndarray, horizon: float, eye: float, camera: int) -> np.ndarray:
    """The same rocks in every frame of a camera, the far ones first."""
    rng = np.random.default_rng(100 + camera)
    frame = frame.copy()
    for ahead in np.sort(rng.uniform(1.6, 26, 42))[::-1]:
        aside, size = rng.uniform(-0.75, 0.75) * ahead, rng.lognormal(-2.2, 0.55)
        radius = max(2.0, 340 * size / ahead)
        _boulder(frame, (340 * aside / ahead, horizon + 340 * eye / ahead), min(radius, 70), rng)
    return frame


def _boulder(frame: np.ndarray, foot: Point, radius: float, rng: np.random.Generator) -> None:
    """A lumpy dome, lit from the upper left, with its shadow on the right."""
    shift = rng.uniform(0, 200)
    x, y = (U - foot[0]) / radius, (V - foot[1]) / (radius * rng.uniform(0.55, 0.85))
    near = (np.abs(x) < 3) & (np.abs(y) < 2)
    if not near.any():
        return
    x, y = x[near], y[near]
    shadow = smoothstep(1.1, 0.7, np.hypot((x - 0.7) / 1.6, (y - 0.1) / 0.35))
    angle = np.arctan2(y, x)
    ragged = 1 + 0.22 * fractal(np.cos(angle) * 1.5 + shift, np.sin(angle) * 1.5, 3)
    dome = np.clip(1 - (x * x + (y + 0.45) ** 2) / ragged**2, 0, 1)
    bumps = fractal(x * 2.2 + shift, y * 2.2, 4)
    light = 0.62 - 0.42 * x - 0.40 * (y + 0.4) + 0.30 * bumps
    rock = np.clip(light, 0.12, 1.1)[:, None] * np.array([0.34, 0.45, 0.60], np.float32)
    cover = smoothstep(0.0, 4 / (radius + 4), dome) * smoothstep(0.25, 0.1, y)
    lit = frame[near] * (1 - 0.6 * shadow)[:, None]
    frame[near] = lit * (1 - cover)[:, None] + rock * cover[:, None]


def _wheel(frame: np.ndarray, centre: Point, radius: float) -> np.ndarray:
    """A wheel in three-quarter view: tread with grousers, rim, curved spokes, and the leg up to the rover."""
    inward = 0.55 * radius * (1 if centre[0] < 0 else -1)
    face, back = (radius * 0.72, radius), (centre[0] + inward, centre[1] - 6)
    canvas, mask = canvas_of(frame), np.zeros((SIZE, SIZE, 3), np.uint8)
    polygon(
        canvas, ellipse((centre[0] + inward, centre[1] + radius * 0.95), (radius * 1.3, radius * 0.2)), (28, 38, 52)
    )
    front_rim, back_rim = ellipse(centre, face, 0, 96), ellipse(back, face, 0, 96)
    hull = cv2.convexHull(np.array(front_rim + back_rim, np.float32))[:, 0]
    polygon(canvas, [(float(x), float(y)) for x, y in hull], (78, 88, 98))
    polygon(mask, [(float(x), float(y)) for x, y in hull], (255, 255, 255))
    for k in range(0, 96, 2):
        bend = ((front_rim[k][0] + back_rim[k][0]) / 2, (front_rim[k][1] + back_rim[k][1]) / 2 + 4)
        stroke(canvas, [front_rim[k], bend, back_rim[k]], (40, 46, 54) if k % 4 else (128, 138, 146), 3)
    _wheel_face(canvas, centre, face)
    cord(canvas, centre, (centre[0] * 0.72, -330), (16, 44), (116, 124, 132))
    cord(mask, centre, (centre[0] * 0.72, -330), (16, 44), (255, 255, 255))
    return _dusted(speckle(frame_of(canvas), mask[..., 0] / 255, 0.22), mask[..., 0] / 255, centre[1])


def _wheel_face(canvas: np.ndarray, centre: Point, face: Point) -> None:
    for share, colour in ((1.0, (150, 160, 168)), (0.95, (62, 70, 80)), (0.86, (30, 34, 42))):
        polygon(canvas, ellipse(centre, (face[0] * share, face[1] * share)), colour)
    for k in range(6):
        turn = k * math.pi / 3 + 0.2
        arc = [(s, turn + 0.9 * s) for s in np.linspace(0.2, 0.9, 9)]
        spoke = [(centre[0] + face[0] * s * math.cos(a), centre[1] + face[1] * s * math.sin(a)) for s, a in arc]
        stroke(canvas, spoke, (136, 146, 152), face[1] / 14)
    for share, colour in ((0.3, (120, 130, 138)), (0.2, (70, 78, 88)), (0.1, (40, 44, 52))):
        polygon(canvas, ellipse(centre, (face[0] * share, face[1] * share)), colour)


def _dusted(frame: np.ndarray, mask: np.ndarray, middle: float) -> np.ndarray:
    """The lower part of what stands on the ground takes on the colour of the ground."""
    share = mask * (0.18 + 0.45 * smoothstep(middle - 40, middle + 150, V)) * (0.75 + 0.5 * value_noise(U / 25, V / 25))
    return blend(frame, DUST * 0.62, np.clip(share, 0, 0.8))


def _deck(frame: np.ndarray) -> np.ndarray:
    """The mast camera's view over the rover's own deck."""
    canvas, mask = canvas_of(frame), np.zeros((SIZE, SIZE, 3), np.uint8)
    deck = [(-270.0, 270.0), (-215.0, 118.0), (120.0, 105.0), (285.0, 200.0), (285.0, 270.0)]
    polygon(canvas, deck, (158, 170, 178))
    polygon(mask, deck, (255, 255, 255))
    for points, colour in (
        ([(-190, 140), (-60, 134), (-70, 196), (-215, 204)], (206, 212, 214)),
        ([(-30, 132), (60, 128), (84, 186), (-34, 192)], (92, 134, 168)),
        ([(92, 128), (130, 126), (220, 190), (120, 200)], (118, 126, 132)),
        ([(-230, 222), (10, 210), (20, 270), (-250, 270)], (130, 140, 148)),
    ):
        polygon(canvas, points, colour)
        stroke(canvas, [*points, points[0]], (62, 70, 78), 2)
    for x in range(-180, 260, 36):
        polygon(canvas, ellipse((x, 205 + x / 30), (4, 3)), (50, 54, 60))
    polygon(canvas, ellipse((150, 235), (74, 34), -0.1), (160, 188, 206))
    stroke(canvas, [*ellipse((150, 235), (74, 34), -0.1)], (70, 80, 92), 3)
    return _dusted(speckle(frame_of(canvas), mask[..., 0] / 255, 0.14), mask[..., 0] / 255, 300)
