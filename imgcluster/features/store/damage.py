"""Damage of stored vectors: the error for bytes that are not those written, and the checksums that prove it.

Each row of a shard has a CRC-32 of its own, so that reading some rows checks these and reads no others.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

DIGITS = 8  # of a checksum as hexadecimal text


class Damage(Exception):
    """A file of a shard does not hold what was written.

    Raised only where bytes were read and found wrong, or a file is missing: any other error leaves the files alone.
    """

    def __init__(self, file: str, why: str) -> None:
        super().__init__(file, why)
        self.file, self.why = file, why

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"


def row_checksums(rows: np.ndarray) -> np.ndarray:
    """Return the CRC-32 of each row of (n, dim) float32, taken as little-endian bytes: (n,) uint32."""
    return np.fromiter(map(crc32, np.ascontiguousarray(rows, "<f4")), np.uint32, len(rows))


def joint_checksum(checksums: np.ndarray) -> int:
    """Return one checksum for several rows, from those of each, (n,) uint32."""
    return crc32(checksums.astype("<u4").data)


def as_text(checksums: np.ndarray) -> str:
    """Return checksums as text, `DIGITS` hexadecimal digits for each."""
    return checksums.astype(">u4").tobytes().hex()


def from_text(text: str) -> np.ndarray:
    """Return the checksums in a text that `as_text` returned, (n,) uint32. Raises ValueError: it is no such text."""
    return np.frombuffer(bytes.fromhex(text), ">u4").astype(np.uint32)
