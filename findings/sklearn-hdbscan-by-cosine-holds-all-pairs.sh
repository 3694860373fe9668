#!/usr/bin/env bash
# scikit-learn: HDBSCAN(metric="cosine") holds a matrix of all pairs of points; by the Euclidean metric it holds none.
#
# One would guess: the metric changes distances and not the order of memory, since algorithm="auto" says nothing; cosine is
# what features of pictures are usually compared by.
# Seen: from 2,000 to 4,000 points the memory taken by cosine grows fourfold (about 19 bytes a pair: 180 GB at 100,000 images),
# by Euclidean distances in proportion to the points. No warning, no parameter that was set.
# Do instead: give the rows the length 1 and take the Euclidean metric. Its order of neighbours is that of cosine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
cat > "$folder/peak.py" <<'PYTHON'
import resource
import sys

import numpy as np
from sklearn.cluster import HDBSCAN

metric, count = sys.argv[1], int(sys.argv[2])
points = np.random.default_rng(0).normal(size=(count, 16))
points /= np.linalg.norm(points, axis=1, keepdims=True)
HDBSCAN(metric=metric, copy=True).fit(points[:200])  # what is loaded once is there now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
HDBSCAN(metric=metric, copy=True).fit(points)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
PYTHON
export PYTHONWARNINGS=ignore
"$folder/environment/bin/python" -c 'import sklearn; print("scikit-learn", sklearn.__version__)'
peak() { "$folder/environment/bin/python" "$folder/peak.py" "$1" "$2"; }
cosine_few=$(peak cosine 2000)
cosine_many=$(peak cosine 4000)
euclidean_many=$(peak euclidean 4000)
echo "MiB beyond the start: cosine $cosine_few at 2,000 points, $cosine_many at 4,000; euclidean $euclidean_many at 4,000"
[ "$cosine_many" -gt $((3 * cosine_few)) ]
[ "$cosine_many" -gt $((10 * (euclidean_many + 1))) ]
