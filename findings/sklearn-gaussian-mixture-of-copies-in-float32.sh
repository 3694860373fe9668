#!/usr/bin/env bash
# scikit-learn: GaussianMixture refuses float32 points with copies among them; the same points in float64 are fitted.
#
# One would guess: reg_covar, which is there to keep covariances positive, does so for float32 as for float64, and points that
# float32 holds exactly are the same problem in both.
# Seen: eight points of 16 values, thirty copies each, two components: "ill-defined empirical covariance" in float32 for
# full, tied and diag covariances, and a fit in float64. reg_covar is 1e-6, below what rounding leaves in float32.
# Do instead: fit mixtures in float64 whenever the data may hold copies, or raise reg_covar for float32.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
"$folder/environment/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture

print("scikit-learn", sklearn.__version__)
points = np.repeat(np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32), 30, axis=0)
for kind in ("full", "tied", "diag"):
    seen = {}
    for dtype in (np.float32, np.float64):
        try:
            GaussianMixture(2, covariance_type=kind, random_state=0).fit(points.astype(dtype))
            seen[dtype] = "fitted"
        except ValueError as error:
            seen[dtype] = f"ValueError: {str(error)[:90]}..."
    print(f"{kind}: float32 {seen[np.float32]}")
    print(f"{kind}: float64 {seen[np.float64]}")
    assert "ill-defined" in seen[np.float32]
    assert seen[np.float64] == "fitted"
PYTHON
