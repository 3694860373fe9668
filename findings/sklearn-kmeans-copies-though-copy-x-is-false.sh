#!/usr/bin/env bash
# scikit-learn: KMeans(copy_x=False) still allocates a temporary of nearly the size of the points.
#
# One would guess: with copy_x=False "the original data is modified", and fitting C-contiguous float32 points needs little memory
# beside them.
# Seen: NumPy reports allocations that peak at more than 0.8 times the points. The tolerance is scaled by the mean variance of
# the columns, `np.var(X, axis=0)`, which subtracts the mean of each column in a copy of the whole array.
# Do instead: count on twice the memory of the points, or run Lloyd's iterations over blocks where that is too much.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import tracemalloc

import numpy as np
import sklearn
from sklearn.cluster import KMeans

print("scikit-learn", sklearn.__version__)
points = np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float32)
start = points[:4].copy()
tracemalloc.start()
KMeans(4, init=start, n_init=1, max_iter=2, copy_x=False).fit(points)
peak = tracemalloc.get_traced_memory()[1]
print(f"points {points.nbytes / 2**20:.1f} MiB, peak of new allocations {peak / 2**20:.1f} MiB")
assert peak > 0.8 * points.nbytes
PYTHON
