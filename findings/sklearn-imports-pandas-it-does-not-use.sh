#!/usr/bin/env bash
# scikit-learn: `import sklearn.cluster` imports pandas wherever pandas is installed, and then does not use it.
#
# One would guess: pandas, an optional package for tables, is imported when a table is given, so that a program that clusters arrays
# pays for numpy and scipy alone, whatever else is installed.
# Seen: sklearn/utils/fixes.py imports pandas at its top, in a `try`. With pandas beside it, the import of sklearn.cluster loads some
# three hundred modules more and takes a quarter longer; with `sys.modules["pandas"] = None` while sklearn is imported, it loads none
# of them, clusters the same, and still takes a data frame afterwards.
# Do instead, in short-lived commands: hide pandas during the import of scikit-learn (None in sys.modules, which Python documents),
# where no other thread may be importing it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet scikit-learn==1.9.1 pandas==3.1.0 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
import sys
from time import process_time

hidden = sys.argv[1] == "hidden"
if hidden:
    sys.modules["pandas"] = None
start = process_time()
from sklearn.cluster import KMeans

seconds = process_time() - start
if hidden:
    del sys.modules["pandas"]
loaded = sum(name.split(".")[0] == "pandas" for name in sys.modules)
labels = KMeans(2, n_init=1, random_state=0).fit([[0.0], [0.1], [9.0], [9.1]]).labels_
print(f"pandas {sys.argv[1]}: {loaded} modules of pandas loaded, {seconds:.2f} s of CPU")
assert (loaded == 0) == hidden and labels[0] == labels[1] != labels[2] == labels[3]
import pandas

frame = pandas.DataFrame({"a": [0.0, 1.0, 9.0]})
assert list(KMeans(2, n_init=1, random_state=0).fit(frame).feature_names_in_) == ["a"]
PYTHON
"$folder/environment/bin/python" -c 'import sklearn; print("scikit-learn", sklearn.__version__)'
"$folder/environment/bin/python" "$folder/look.py" visible
"$folder/environment/bin/python" "$folder/look.py" hidden
