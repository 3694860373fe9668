#!/usr/bin/env bash
# Hugging Face datasets: `Dataset.to_parquet` of a folder of images writes each file's path and no image.
#
# One would guess: a Parquet file with an `image` column of {bytes, path} holds the images, as the ones on the Hub do.
# Seen: `bytes` is null in every row that came from a file, and `path` is an absolute path of the machine that wrote it;
# a `map` that hands the same image on changes nothing. Only where `map` makes new pictures are there bytes (and no path).
# The file is complete for the library that wrote it, and empty for everybody it is sent to.
# Do instead: `datasets.table.embed_table_storage`, by `ds.with_format("arrow").map(embed_table_storage)`, before `to_parquet`;
# when reading, follow `path` only below a folder you trust, and name the path where nothing is there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1 pillow==13.0.0 numpy==2.4.6
cd "$folder"
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$folder/environment/bin/python" - <<'PYTHON'
import os

import datasets
import numpy as np
import pyarrow.parquet as pq
from datasets.table import embed_table_storage
from PIL import Image

datasets.disable_progress_bars()
print("datasets", datasets.__version__)
os.makedirs("pictures/cat")
for number in range(3):
    Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(f"pictures/cat/{number}.png")
folder = datasets.load_dataset("imagefolder", data_dir="pictures", split="train")


def holds(name, dataset):
    """Write a data set as Parquet, and say of each row whether bytes and a path are there."""
    dataset.to_parquet("written.parquet")
    rows = pq.read_table("written.parquet").column("image").to_pylist()
    kinds = {(row["bytes"] is not None, os.path.isabs(row["path"] or "")) for row in rows}
    print(f"{name:<22} {len(rows)} rows, (bytes are there, path is absolute): {sorted(kinds)}")
    return kinds


assert holds("folder of images", folder) == {(False, True)}
assert holds("handed on by map", folder.map(lambda row: {"image": row["image"]})) == {(False, True)}
assert holds("made anew by map", folder.map(lambda row: {"image": row["image"].convert("L")})) == {(True, False)}
embedded = folder.with_format("arrow").map(embed_table_storage, batched=True)
assert holds("embedded", embedded) == {(True, False)}
PYTHON
