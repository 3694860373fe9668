"""The interface of decoders: what a decoder is asked for, `Wanted`, and what it returns, `Stored`.

A decoder takes the bytes of a file of one kind and returns its samples with what the header says they mean;
`rendering.render` makes RGB uint8 of these. It stands in `decoders.DECODERS` under the name that
`file_kinds.kind_of` gives the kind, raises ImageError with a reason, and imports optional packages itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from imgcluster.config import Reading


class Alpha(Enum):
    """What the last channel of samples is."""

    NONE = 0  # a colour, or a band
    STRAIGHT = 1  # the opacity
    MULTIPLIED = 2  # the opacity, and the colours have been multiplied by it


class Wanted(NamedTuple):
    """What a decoder is asked for.

    least: sufficient size of the shorter side in pixels; a decoder may return a reduced picture, down to that; None:
    the whole. reading: the choices of the config.
    """

    least: int | None = None
    reading: Reading = Reading()


@dataclass(frozen=True)
class Stored:
    """The samples of a picture as its file holds them, and their meaning.

    samples: (height, width[, channels]) of any number format: grey or red, green, blue (not OpenCV's order), or bands;
    the opacity last. white: the value of full intensity; None: the largest of uint8 or uint16; other formats are
    stretched. icc: the colour profile. orientation: that of EXIF, still to be applied. inks: the four channels are
    cyan, magenta, yellow and black. white_is_zero: the largest value is black. nodata: the value of pixels that hold
    nothing. is_scientific: the packages of the extra of that name have decoded it.
    """

    samples: np.ndarray
    alpha: Alpha = Alpha.NONE
    white: int | None = None
    icc: bytes | None = None
    orientation: int = 1
    inks: bool = False
    white_is_zero: bool = False
    nodata: float | None = None
    is_scientific: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the samples are what is to be shown: RGB uint8, opaque and upright."""
        return (
            self.samples.dtype == np.uint8
            and self.samples.shape[2:] == (3,)
            and self.alpha is Alpha.NONE
            and self.white is None
            and self.icc is None
            and self.orientation == 1
            and not self.white_is_zero
        )


Decoder = Callable[[bytes, Wanted], Stored]
