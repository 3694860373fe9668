"""PBM, PGM, PPM and PAM: the largest value, which need not be that of 8 or 16 bits."""

from __future__ import annotations

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.damage import PAM_HEADER, PNM_HEADER, why_undecodable
from imgcluster.images.headers import Size
from imgcluster.images.libraries import by_opencv, in_rgb_order
from imgcluster.images.limits import check_size
from imgcluster.images.refusals import not_read
from imgcluster.images.stored import Alpha, Stored, Wanted

CHANNELS = {5: 1, 6: 3}
WITH_OPACITY = (2, 4)
USUAL = (255, 65_535)


def read(data: bytes, _: Wanted) -> Stored:
    """Decode a PNM or PAM. Raises ImageError, and KeyError or ValueError where the header is damaged."""
    if data.startswith(b"P7"):
        return _pam(data)
    header = PNM_HEADER.match(data)
    if header is None or int(header[4]) in USUAL:
        return Stored(in_rgb_order(by_opencv(data)))
    kind, width, height, white = (int(each) for each in header.groups())
    return Stored(_samples(data, header.end(), (height, width, CHANNELS[kind]), white), white=white)


def _pam(data: bytes) -> Stored:
    header = PAM_HEADER.match(data)
    if header is None:
        raise ImageError(why_undecodable(data))
    lines = (line.split(None, 1) for line in header[1].split(b"\n") if line.strip() and not line.startswith(b"#"))
    said = {line[0]: line[-1] for line in lines}
    width, height, depth, white = (int(said[key]) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    samples = _samples(data, header.end(), (height, width, depth), white)
    has_opacity = depth in WITH_OPACITY and said.get(b"TUPLTYPE", b"").endswith(b"_ALPHA")
    return Stored(samples, Alpha.STRAIGHT if has_opacity else Alpha.NONE, white=white)


def _samples(data: bytes, at: int, shape: tuple[int, int, int], white: int) -> np.ndarray:
    if not 0 < white < 2**16:
        raise ImageError(not_read(f"PNM with values up to {white:,}"))
    kind = np.dtype(np.uint8 if white < 2**8 else ">u2")
    check_size(Size(shape[0], shape[1], shape[2] * kind.itemsize))
    count = shape[0] * shape[1] * shape[2]
    if not count or len(data) - at < count * kind.itemsize:
        raise ImageError(why_undecodable(data))
    return np.frombuffer(data, kind, count, at).reshape(shape).astype(kind.newbyteorder("="))
