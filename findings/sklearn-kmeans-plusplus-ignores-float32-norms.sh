#!/usr/bin/env bash
# scikit-learn: kmeans_plusplus ignores the x_squared_norms it is given when the points are float32.
#
# One would guess: `x_squared_norms` ("squared Euclidean norm of each data point") is what the distances are computed from, so
# that norms known in float64, or known from an earlier call, save work; and that wrong norms give other seeds, as they do
# for float64 points.
# Seen: with float32 points, norms of garbage give the very seeds that the right norms give; with float64 points they do not.
# The norms are cast to the dtype of the points, and distances between float32 points use none: they are computed anew, in
# float64 and in chunks, for every seed.
# Do instead: do not compute or keep norms for the sake of this function if the points are float32. Where seeding is what takes
# the time, draw seeds with the distances of the centres so far kept, and pass them as `KMeans(init=...)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import numpy as np
import sklearn
from sklearn.cluster import kmeans_plusplus

print("scikit-learn", sklearn.__version__)
points = np.random.default_rng(0).normal(size=(500, 8))
garbage = np.random.default_rng(1).uniform(0, 1000, 500)
same = {}
for dtype in (np.float32, np.float64):
    rows = points.astype(dtype)
    right = (rows**2).sum(axis=1)
    seeds = [
        kmeans_plusplus(rows, 20, x_squared_norms=norms.astype(dtype), random_state=0)[1] for norms in (right, garbage)
    ]
    same[dtype] = bool(np.array_equal(*seeds))
    print(f"{np.dtype(dtype)}: the same seeds with norms of garbage: {same[dtype]}")
assert same[np.float32]
assert not same[np.float64]
PYTHON
