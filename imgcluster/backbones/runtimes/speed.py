"""The speed of this machine's CPU, to estimate what a network costs before it is built."""

from __future__ import annotations

import time

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.utils import cores, machine, remembered

SIDE = 512  # of the matrices
REPEATS = 40
# OpenVINO reaches this share of the speed of matrix products in fp32, by CPU seconds on two cores: 0.85 with DINOv2-S,
# 0.81 with ConvNeXt-S, 0.58 with EfficientNet-Lite0. Where the CPU has instructions for bfloat16, it is twice as fast.
NETWORK_SHARE = 0.7


def cpu_gigaflops() -> float:
    """Return billions of float32 operations per second at which the CPU computes networks, estimated once.

    The estimate is kept in the cache folder for this machine and these cores, so that decisions by it stay.
    """
    return float(remembered(["gigaflops of networks", machine(), cores()], _measured))


def _measured() -> float:
    """Time products of matrices in CPU seconds of one thread.

    Other processes hardly change these: by 3 % under a load of 6 on two cores. Threads that wait for each other do: by
    20 %.
    """
    left = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    right = left.T.copy()
    seconds = []
    with threadpool_limits(1):
        for _ in range(REPEATS):
            start = time.thread_time()
            left @ right
            seconds.append(time.thread_time() - start)
    return cores() * NETWORK_SHARE * 2 * SIDE**3 / min(seconds) / 1e9
