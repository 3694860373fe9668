"""Composite transparent images over white, or over grey if their opaque part is nearly white."""

from __future__ import annotations

import math

import numpy as np

WHITE = 255
GREY = 128  # of white drawings: over black they are told apart little better, and from black ones far worse
NEARLY_WHITE = 240  # from here on, in its darkest channel, a colour does not stand out against white
FEW = 0.02  # less than this share of what is opaque may be darker
LOOKED_AT = 2**14  # pixels, evenly spread: enough to know a share


def ground_of(colour: np.ndarray, alpha: np.ndarray, *, multiplied: bool = False) -> int:
    """Return the grey, WHITE or GREY, that a picture is laid over so that what is opaque can be seen.

    colour: (height, width, channels) uint8; alpha: (height, width) uint8, the opacity, by which the colours are
    `multiplied` or not. White drawings would be blank over white; what is drawn in any other colour stays over white.
    """
    if not _stands_out(colour, alpha, multiplied) and alpha.min() < 255:
        return GREY
    return WHITE


def laid_over(colour: np.ndarray, alpha: np.ndarray, ground: int) -> np.ndarray:
    """Lay (height, width, channels) over a grey, by (height, width, 1) of opacity, all uint8."""
    weight = alpha.astype(np.uint16)
    return ((colour * weight + ground * (255 - weight) + 127) // 255).astype(np.uint8)


def laid_over_multiplied(colour: np.ndarray, alpha: np.ndarray, ground: int) -> np.ndarray:
    """Lay colours over a grey as `laid_over` does, where they have been multiplied by their opacity already."""
    rest = laid_over(np.zeros_like(alpha), alpha, ground)
    return np.asarray(colour + np.minimum(rest, WHITE - colour))  # a damaged file may hold more colour than opacity


def _stands_out(colour: np.ndarray, alpha: np.ndarray, multiplied: bool) -> bool:
    """Tell whether enough of what is opaque is darker than white; where nothing is opaque, nothing is to be seen."""
    step = max(1, math.isqrt(alpha.size // LOOKED_AT))
    if step > 1 and not alpha[::step, ::step].any():
        step = 1  # strokes so thin that they lie between
    weight = alpha[::step, ::step]
    channels = np.moveaxis(colour[::step, ::step], 2, 0)
    darkest = np.minimum.reduce([*channels])  # channel by channel: along the last axis it is far slower
    dark = (
        darkest.astype(np.uint16) * 255 < NEARLY_WHITE * weight.astype(np.uint16)
        if multiplied
        else darkest < NEARLY_WHITE
    )
    return bool(weight[dark].sum() >= FEW * weight.sum())
