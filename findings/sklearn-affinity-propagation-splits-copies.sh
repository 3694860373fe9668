#!/usr/bin/env bash
# scikit-learn: AffinityPropagation gives copies of one point a cluster each, and MeanShift refuses them.
#
# One would guess: rows that are equal to the last bit share a label, whatever the clustering method, as they do with
# KMeans, DBSCAN, HDBSCAN and OPTICS.
# Seen: of three points with twelve copies each, AffinityPropagation makes about two dozen clusters, twelve of them from the
# copies of one point; AgglomerativeClustering and SpectralClustering, asked for six, split one point's copies to get six;
# MeanShift, whose bandwidth is estimated from neighbours and is 0 here, raises a ValueError about seeds.
# Do instead: cluster the distinct rows (numpy.unique with axis=0 and return_inverse), with the number of copies as
# sample_weight where the method takes it, and never ask for more clusters than there are distinct rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
"$folder/environment/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import sklearn
from sklearn import cluster

print("scikit-learn", sklearn.__version__)
COPIES = 12
points = np.repeat(np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32), COPIES, axis=0)
methods = {
    "KMeans": cluster.KMeans(6, random_state=0),
    "DBSCAN": cluster.DBSCAN(eps=0.5),
    "HDBSCAN": cluster.HDBSCAN(min_cluster_size=5, copy=True),
    "OPTICS": cluster.OPTICS(min_samples=5),
    "AffinityPropagation": cluster.AffinityPropagation(random_state=0),
    "AgglomerativeClustering": cluster.AgglomerativeClustering(6),
    "SpectralClustering": cluster.SpectralClustering(6, random_state=0),
}
split = {}
for name, method in methods.items():
    labels = method.fit_predict(points).reshape(3, COPIES)
    split[name] = max(len(set(row)) for row in labels.tolist())
    print(f"{name:<24} labels of the twelve copies of one point: at most {split[name]}")
assert all(split[name] == 1 for name in ("KMeans", "DBSCAN", "HDBSCAN", "OPTICS"))
assert split["AffinityPropagation"] == COPIES
assert split["AgglomerativeClustering"] > 1
assert split["SpectralClustering"] > 1
try:
    cluster.MeanShift().fit(points)
except ValueError as error:
    print("MeanShift                ValueError:", " ".join(str(error).split()))
else:
    raise SystemExit("MeanShift takes copies now")
PYTHON
