"""Render entry, parachute and powered descent: time within a stage (0..1) to a frame (BGR, 0..1)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgcluster.datasets.drawing import (
    DUST,
    SIZE,
    Point,
    U,
    V,
    blend,
    canvas_of,
    cord,
    ellipse,
    frame_of,
    glare,
    plume_dust,
    polygon,
    ramp,
    sky,
    stroke,
)
from imgcluster.datasets.terrain import fractal, ground, smoothstep


def _bell(t: float, centre: float, width: float) -> float:
    return math.exp(-(((t - centre) / width) ** 2))


# ---- 0: entry


def entry(t: float, rng: np.random.Generator) -> np.ndarray:
    """The limb of the planet, then the glow around the heat shield, then the first air."""
    frame = blend(_limb(t), sky(0.30, 0.75, 0.4), 0.9 * ramp(t, 0.72, 1.0))
    centre = (60 * math.sin(5 * t), 455 - 60 * ramp(t, 0.0, 0.3) + 14 * math.sin(23 * t))
    frame = _plasma(frame, centre, _bell(t, 0.58, 0.2) * rng.uniform(0.75, 1.1), 9 * t)
    return _heat_shield_edge(frame, centre, _bell(t, 0.6, 0.22))


def _limb(t: float) -> np.ndarray:
    roll, radius = 0.7 - 1.0 * t, 760 + 500 * t
    away = radius + 70 - 330 * t  # the planet fills more and more of the frame
    x, y = U + away * math.sin(roll), V - away * math.cos(roll)
    distance = np.hypot(x, y) / radius
    slant = np.sqrt(np.clip(1 - distance**2, 0.004, 1))
    arc = np.arcsin(np.minimum(distance, 0.998)) / np.maximum(distance, 1e-3) * 60
    land = ground(x * arc, y * arc + 30000, 60 / slant, 9000) * (0.35 + 0.85 * slant[..., None])
    day = smoothstep(-0.75, 0.45, (0.75 * x - 0.66 * y) / radius)
    space = _stars(roll)
    frame = blend(space, land * day[..., None], smoothstep(1.0015, 0.9985, distance))
    air = np.exp(-np.abs(distance - 1) * radius / np.where(distance > 1, 9, 34)) * day
    return np.asarray(frame + air[..., None] * np.array([0.42, 0.58, 0.72], np.float32))


def _stars(roll: float) -> np.ndarray:
    frame = np.full((SIZE, SIZE, 3), 0.012, np.float32)
    for x, y, light in np.random.default_rng(4).uniform((-360, -360, 0.1), (360, 360, 0.8), (90, 3)):
        column = round(x * math.cos(roll) - y * math.sin(roll)) + SIZE // 2
        row = round(x * math.sin(roll) + y * math.cos(roll)) + SIZE // 2
        if 0 <= column < SIZE and 0 <= row < SIZE:
            frame[row, column] = light
    return np.asarray(cv2.GaussianBlur(frame, (3, 3), 0.6))


def _plasma(frame: np.ndarray, centre: Point, heat: float, phase: float) -> np.ndarray:
    x, y = U - centre[0], V - centre[1]
    distance = np.hypot(x, y)
    along = distance / 300 - phase
    streaks = fractal(x / distance * 9 + along, y / distance * 9 - 0.3 * along, 5, 0.7)
    beyond = np.maximum(distance - 300, 0) / (70 + 170 * heat)
    glow = np.clip(heat * np.exp(-beyond) * (1 + 0.55 * streaks), 0, 1.3)
    colour = np.stack([0.75 * glow**3.2, 0.82 * glow**1.9, 1.15 * glow**0.85], axis=-1)
    return np.asarray(frame * (1 - 0.6 * np.clip(glow, 0, 1))[..., None] + colour, np.float32)


def _heat_shield_edge(frame: np.ndarray, centre: Point, heat: float) -> np.ndarray:
    x, y = U - centre[0], V - centre[1]
    distance = np.hypot(x, y)
    tiles = 0.02 * np.sign(np.sin(np.arctan2(y, x) * 60)) + 0.05 * fractal(x / 30, y / 30, 4)
    char = (0.10 + tiles)[..., None] * np.array([0.75, 0.85, 1.0], np.float32)
    hot = np.clip(heat * np.exp(-(300 - distance) / 26), 0, 1)[..., None] * np.array([0.35, 0.65, 1.0], np.float32)
    return blend(frame, char + hot, smoothstep(302, 298, distance))


# ---- 1: parachute


def parachute(t: float, rng: np.random.Generator) -> np.ndarray:
    """Up to the canopy as it opens and swings; in the end down, after the heat shield that falls away."""
    if t > 0.85 or 0.6 < t < 0.66:
        return _shield_falls(ramp(t, 0.55, 1.0))
    swing = (70 * math.sin(17 * t) + rng.normal(0, 4), -55 + 45 * math.cos(13 * t) + rng.normal(0, 4))
    frame = sky(0.62 + 0.35 * t, 0.78 + 0.25 * t, 3 * t)
    frame = glare(frame, (190 * math.cos(4 * t), -230 + 60 * t), 0.5 * ramp(t, 0.1, 0.4))
    opened = 0.3 + 0.7 * ramp(t, 0.0, 0.13)
    radius = 165 * opened * (1 + 0.10 * math.sin(29 * t))
    shape = (radius, radius * (0.90 + 0.09 * math.sin(11 * t)))
    turn = 0.9 * math.sin(3.1 * t)
    frame = _canopy(frame, swing, shape, turn)
    return _lines(frame, swing, shape, turn)


_GORES = 80
_ORANGE = np.array([0.16, 0.38, 0.86], np.float32)
_WHITE = np.array([0.80, 0.86, 0.90], np.float32)
_PATTERN = np.repeat(np.random.default_rng(1976).random((5, _GORES // 4)) < 0.48, 4, axis=1)
_RINGS = (0.07, 0.26, 0.44, 0.60, 0.70, 1.0)  # vent | three rings of the disk | gap | band


def _canopy(frame: np.ndarray, centre: Point, shape: Point, turn: float) -> np.ndarray:
    """A disk-gap-band parachute as seen from below, with the light shining through."""
    x, y = U - centre[0], V - centre[1]
    cos, sin = math.cos(turn), math.sin(turn)
    a, b = (cos * x + sin * y) / shape[0], (cos * y - sin * x) / shape[1]
    angle = np.arctan2(b, a) + 1.3 * turn
    distance = np.hypot(a, b) * (1 + 0.012 * np.cos(_GORES * angle))
    gore = (angle / (2 * np.pi) * _GORES).astype(np.int32) % _GORES
    ring = np.clip(np.searchsorted(_RINGS, distance) - 1, 0, 4)
    cloth = np.where(_PATTERN[ring, gore][..., None], _ORANGE, _WHITE)
    light = (
        0.86
        + 0.16 * a
        - 0.12 * b
        - 0.10 * distance**4
        + 0.05 * np.cos(_GORES * angle)
        + 0.05 * fractal(a * 4, b * 4, 4)
    )
    return blend(frame, cloth * light[..., None], _cloth_cover(distance, 1.6 / shape[0]))


def _cloth_cover(distance: np.ndarray, edge: float) -> np.ndarray:
    """Where there is cloth: not in the vent, the gap, or beyond the band."""
    cover = np.zeros_like(distance)
    for inner, outer in ((_RINGS[0], _RINGS[3]), (_RINGS[4], _RINGS[5])):
        cover += smoothstep(inner - edge, inner + edge, distance) * smoothstep(outer + edge, outer - edge, distance)
    return cover


def _lines(frame: np.ndarray, centre: Point, shape: Point, turn: float) -> np.ndarray:
    """Suspension lines from the band to the confluence, and the three risers from there to the capsule."""
    canvas = canvas_of(frame)
    knot = (-0.35 * centre[0], 120 - 0.3 * centre[1])
    for point in ellipse(centre, shape, turn, _GORES // 2):
        stroke(canvas, [point, knot], (112, 130, 146))
    lines = cv2.addWeighted(canvas, 0.6, canvas_of(frame), 0.4, 0)
    for foot in ((-190, 300), (20, 330), (230, 290)):
        cord(lines, knot, foot, (2.5, 11), (66, 78, 92))
    polygon(lines, ellipse(knot, (7, 6)), (52, 60, 70))
    polygon(lines, ellipse((40, 520), (420, 300), 0.1), (34, 38, 46))
    return frame_of(lines)


def _shield_falls(t: float) -> np.ndarray:
    frame = from_above(9000 - 2000 * t, 1.1 + t, (0.25, 0.1))
    frame = blend(frame, DUST * 0.8, 0.30)
    radius = 120 * math.exp(-2.2 * t) + 6
    centre = (130 * t - 40, 70 - 150 * t)
    tilt = (radius, radius * (0.72 + 0.2 * math.sin(9 * t)))
    canvas = canvas_of(frame)
    for share, colour in ((1.0, (40, 48, 60)), (0.93, (92, 112, 132)), (0.62, (74, 90, 108)), (0.3, (110, 128, 144))):
        polygon(canvas, ellipse(centre, (tilt[0] * share, tilt[1] * share), 5 * t), colour)
    for point in ellipse(centre, (tilt[0] * 0.93, tilt[1] * 0.93), 5 * t, 12):
        stroke(canvas, [centre, point], (60, 74, 88), radius / 50)
    return frame_of(canvas)


# ---- 2: powered descent


def from_above(span: float, turn: float, tilt: Point) -> np.ndarray:
    """The ground with `span` metres in view, turned, and seen a little from the side."""
    metres = span / SIZE
    depth = 1 + tilt[0] * U / SIZE + tilt[1] * V / SIZE
    x, y = U / depth * metres, V / depth * metres
    cos, sin = math.cos(turn), math.sin(turn)
    drift = 0.22 * span
    return ground(cos * x - sin * y + 130 + drift, sin * x + cos * y + 77 - drift, metres / depth, span)


def descent(t: float, rng: np.random.Generator) -> np.ndarray:
    """Straight down at the ground, which comes closer by a constant factor from frame to frame."""
    span = 6500 * (20 / 6500) ** t
    tilt = (0.35 * math.sin(9 * t) * (1 - t), 0.30 * math.cos(7 * t) * (1 - t))
    frame = from_above(span, 2.1 + 1.1 * math.sin(2.5 * t), tilt)
    frame = blend(frame, DUST * 0.8, 0.16 * (1 - t) + 0.03)
    if t < 0.1:
        canvas = canvas_of(frame)
        speck = (90 + 300 * t, -80 - 200 * t)
        polygon(canvas, ellipse(speck, (5, 4)), (34, 40, 50))
        frame = frame_of(canvas)
    blown = ramp(t, 0.84, 1.0) * rng.uniform(0.7, 1.0)
    return plume_dust(frame, (30, 40), 120, 0.75 * blown, 14 * t) if blown > 0 else frame
