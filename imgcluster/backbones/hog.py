"""Histograms of oriented gradients: the shapes in a picture, computed without weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, pad, relu

ORIENTATIONS = 9  # over 180 degrees: light on dark and dark on light are one
CELLS = 8  # in a row, whatever the side of the picture
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
# Energy of cells in which hardly anything is seen: an edge from black to white through a cell of 8 pixels gives 0.06.
FLAT = 0.0001
# The square roots that `method: auto` takes then have 0.6 of the length of those of a network's vector: the values of
# EfficientNet-Lite0 sum to about 220 on many kinds of pictures.
SUM = 80.0
FAINT = 1.0  # sum before that scaling, of pictures in which hardly anything is seen: theirs fades to 0; others have 100


class OrientedGradients(nn.Module):
    """Module without weights: (n, 3, side, side) RGB from 0 to 1 -> (n, ORIENTATIONS * CELLS**2), each summing to SUM.

    Central differences without smoothing; votes by magnitude, shared between the two nearest orientations; each cell
    normalised by the energy of those around it (Dalal & Triggs 2005, "Histograms of Oriented Gradients for Human
    Detection", section 6, whose overlapping blocks of 2 x 2 cells repeat each value four times, and gain nothing here).
    A picture of one colour gives zeros.

    The two votes are the factors by which the directions of two orientations add up to the gradient. Unlike angles,
    they are piecewise linear in the pixels, so that runtimes agree to the rounding of float32.
    """

    grey: Tensor
    past: Tensor
    short: Tensor

    def __init__(self) -> None:
        super().__init__()
        step = math.pi / ORIENTATIONS
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1), persistent=False)
        # How far a gradient is past the orientation before, and short of the next: both are positive between these two,
        # and both negative in the opposite directions.
        self.register_buffer("past", _sines(-step), persistent=False)
        self.register_buffer("short", -_sines(step), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the histograms."""
        framed = pad((pixels * self.grey).sum(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        across = framed[:, :, 1:-1, 2:] - framed[:, :, 1:-1, :-2]
        down = framed[:, :, 2:, 1:-1] - framed[:, :, :-2, 1:-1]
        gradients = torch.cat((across, down), dim=1)
        past, short = conv2d(gradients, self.past), conv2d(gradients, self.short)
        votes = relu(torch.minimum(past, short)) + relu(-torch.maximum(past, short))
        cells = adaptive_avg_pool2d(votes, CELLS)
        energy = avg_pool2d(cells.square().sum(dim=1, keepdim=True), 3, 1, 1, count_include_pad=False)
        values = cells / (energy + FLAT).sqrt()
        return (values * (SUM / (values.sum(dim=(1, 2, 3), keepdim=True) + FAINT))).flatten(1)


def _sines(turn: float) -> Tensor:
    """Return filters, (ORIENTATIONS, 2, 1, 1), of a gradient: its length, times the sine of its angle past a direction.

    turn: of the directions, from the orientations. All is divided by the sine of the angle between two orientations, so
    that a gradient in the direction of one gives it its length.
    """
    angles = [math.pi / ORIENTATIONS * number + turn for number in range(ORIENTATIONS)]
    sines = torch.tensor([[-math.sin(angle), math.cos(angle)] for angle in angles]) / math.sin(math.pi / ORIENTATIONS)
    return sines[:, :, None, None]
