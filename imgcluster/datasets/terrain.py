"""Procedural Martian terrain from seeded noise, consistent at every scale, so that a camera can approach it."""

from __future__ import annotations

import math

import numpy as np

TABLE = 256
DARK_SAND = np.array([0.14, 0.18, 0.26], np.float32)  # BGR, as everything that cv2 writes
BRIGHT_DUST = np.array([0.36, 0.53, 0.77], np.float32)
SUN = (0.82, -0.57)  # the direction on the ground from which the light comes

_TABLES = np.random.default_rng(20210218).random((3, TABLE, TABLE), dtype=np.float32)
# flat, and one row and column more than a period: four plain look-ups a pixel, which is where the time goes
_WRAPPED, _CHANCE, _AGE = (np.pad(table, (0, 1), mode="wrap").ravel() for table in _TABLES)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth in between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def value_noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Smooth noise in -1..1 whose features are about one unit wide; it repeats after 256 units."""
    left, top = np.floor(x), np.floor(y)
    u, v = (x - left).astype(np.float32), (y - top).astype(np.float32)
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    corner = _corner(left, top)
    upper = _WRAPPED[corner] * (1 - u) + _WRAPPED[corner + 1] * u
    corner += TABLE + 1
    lower = _WRAPPED[corner] * (1 - u) + _WRAPPED[corner + 1] * u
    return np.asarray(2 * (upper * (1 - v) + lower * v) - 1)


def _corner(left: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Index in a flat table of TABLE + 1 columns."""
    return (top.astype(np.int32) % TABLE) * (TABLE + 1) + left.astype(np.int32) % TABLE


def fractal(x: np.ndarray, y: np.ndarray, octaves: int, gain: float = 0.5) -> np.ndarray:
    """Noise with `octaves` ever finer layers, each `gain` times as strong as the one before."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for octave in range(octaves):
        total += gain**octave * value_noise(*_turned(x, y, 2.0**-octave, octave))
    return total


def _turned(x: np.ndarray, y: np.ndarray, wavelength: float, octave: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in wavelengths, turned differently in every octave so that no lattice shows."""
    cos, sin = math.cos(2.4 * octave) / wavelength, math.sin(2.4 * octave) / wavelength
    return cos * x - sin * y + 37.7 * octave, sin * x + cos * y + 11.3 * octave


def _visible(wavelength: float, pixel: np.ndarray) -> np.ndarray:
    """How much of a layer can be seen: what is finer than the pixels fades out instead of flickering."""
    return smoothstep(1.5, 4.0, wavelength / pixel)


def _octaves(pixel: np.ndarray, coarsest: float) -> list[tuple[int, float]]:
    """The layers (number, wavelength in metres) between the finest pixel and the coarsest that matters."""
    layers = [(number, 8192.0 / 2**number) for number in range(21)]
    return [(n, wavelength) for n, wavelength in layers if 1.5 * pixel.min() < wavelength <= coarsest]


def _cells(x: np.ndarray, y: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance, in radii, to the round thing in each unit cell (`share` of the cells hold one), and its age in 0..1."""
    left, top = np.floor(x), np.floor(y)
    corner = _corner(left, top)
    chance, age = _CHANCE[corner], _AGE[corner]
    dx, dy = x - left - (0.4 + 0.2 * _WRAPPED[corner]), y - top - (0.4 + 0.2 * age)
    radius = 0.05 + 0.17 * (chance / share) ** 2
    return np.where(chance < share, np.sqrt(dx * dx + dy * dy) / radius, np.float32(9)), age


def _craters(x: np.ndarray, y: np.ndarray, wavelength: float, number: int) -> np.ndarray:
    """Bowls with a raised rim; the older, the shallower."""
    distance, age = _cells(*_turned(x, y, wavelength, number), share=0.3)
    bowl = np.minimum(distance * distance - 1, 0) * 0.055
    rim = 0.028 * np.exp(-(((distance - 1) / 0.3) ** 2))
    return np.asarray(wavelength * (1.2 - age) * (bowl + rim))


def _rocks(x: np.ndarray, y: np.ndarray, wavelength: float, number: int) -> np.ndarray:
    """1 on the top of a boulder, 0 on the ground beside it."""
    ragged = 0.02 * value_noise(30 * x / wavelength, 30 * y / wavelength)
    distance, _ = _cells(*_turned(x + ragged * wavelength, y, wavelength, number + 5), share=0.3)
    return np.sqrt(np.maximum(1 - (2.2 * distance) ** 2, 0))


def _dunes(x: np.ndarray, y: np.ndarray, wavelength: float) -> np.ndarray:
    """Rows of ripples that wander, and only where sand has gathered."""
    wander = 1.6 * value_noise(x / (5 * wavelength), y / (5 * wavelength))
    phase = (0.35 * x + 0.94 * y) / wavelength + wander
    sand = smoothstep(0.1, 0.5, value_noise(x / (14 * wavelength) + 9, y / (14 * wavelength)))
    crest = 1 - np.abs(np.sin(np.pi * phase))
    return wavelength * 0.11 * sand * crest**1.5


def height(x: np.ndarray, y: np.ndarray, pixel: np.ndarray, coarsest: float) -> np.ndarray:
    """Metres above datum at x, y (metres), without what is finer than `pixel` or broader than `coarsest`."""
    total = np.zeros(x.shape, np.float32)
    for number, wavelength in _octaves(pixel, coarsest):
        seen = _visible(wavelength, pixel)
        total += seen * 0.05 * wavelength * value_noise(*_turned(x, y, wavelength, number))
        if wavelength > 16:
            total += seen * _craters(x, y, wavelength, number)
        elif wavelength > 0.4:
            total += seen * 0.06 * wavelength * _rocks(x, y, wavelength, number)
    for wavelength in (90.0, 7.0, 0.6):
        total += _visible(wavelength, pixel) * _dunes(x, y, wavelength)
    return total


def ground(x: np.ndarray, y: np.ndarray, pixel: float | np.ndarray, span: float) -> np.ndarray:
    """The ground at x, y (metres) as BGR in 0..1. pixel: metres a pixel covers there; span: metres in view."""
    pixel = np.asarray(pixel, np.float32)
    step = 1.2 * pixel
    here = height(x, y, pixel, span)
    behind = height(x + step * SUN[0], y + step * SUN[1], pixel, span)
    light = 0.90 + 0.60 * np.tanh(3.2 * (here - behind) / step)
    patches = fractal(x * 2 / span, y * 2 / span, 5, 0.6) + fractal(x / 700, y / 700, 2)
    dust = smoothstep(-0.95, 1.05, patches)[..., None]
    return np.asarray((DARK_SAND * (1 - dust) + BRIGHT_DUST * dust) * light[..., None])
