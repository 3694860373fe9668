"""The speed of this machine's CPU, to estimate what a network costs before it is built."""

from __future__ import annotations

import time

import numpy as np

from imgcluster.utils import cores, machine, remembered

SIDE = 1024  # of the matrices
REPEATS = 5


def cpu_gigaflops() -> float:
    """Return billions of float32 operations per second that the CPU does in matrix products, as measured once.

    It is measured in seconds of CPU time, which other processes on the machine hardly change. OpenVINO computes
    networks at 0.9 to 1.3 times this speed in fp32, and twice as fast in bfloat16 where the CPU has instructions for it
    (DINOv2-S, ConvNeXt-S, SigLIP-B/16 and EfficientNet-Lite0, on two cores).
    """
    return float(remembered(["gigaflops of the CPU", machine(), cores()], _measured))


def _measured() -> float:
    left = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    right = left.T.copy()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()  # of all threads together
        left @ right
        seconds.append(time.process_time() - start)
    return cores() * 2 * SIDE**3 / min(seconds) / 1e9
