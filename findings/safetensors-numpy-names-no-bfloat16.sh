#!/usr/bin/env bash
# safetensors: its numpy reader fails on a whole, valid file of bfloat16 with a bare `KeyError: 'BF16'`.
#
# One would guess: a dtype that numpy lacks is refused with safetensors' own SafetensorError, or read as its bits.
# Seen: `safetensors.numpy.load` raises KeyError, so code that catches SafetensorError ends with a traceback, and code that catches
# everything calls the file damaged. float8 fails in the same way; float16 and complex64 are read.
# Do instead: look at the dtypes in the header (JSON after eight bytes of length) before loading; widen bfloat16 by placing its
# 16 bits in the upper half of a float32.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import json
import struct

import numpy as np
import safetensors
from safetensors.numpy import load

print("safetensors", safetensors.__version__)


def written(dtype, content, shape):
    """Lay out a file as the format's description says: length of the header, header, values."""
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(content)]}}).encode()
    return struct.pack("<Q", len(header)) + header + content


values = np.array([1.0, -2.5, 0.375], np.float32)
bits = (values.view(np.uint32) >> 16).astype(np.uint16)  # exact: these three need no more than eight bits of mantissa
assert load(written("F16", values.astype(np.float16).tobytes(), [3]))["a"].dtype == np.float16
for dtype, content in (("BF16", bits.tobytes()), ("F8_E4M3", bytes(3))):
    try:
        load(written(dtype, content, [3]))
    except Exception as error:
        print(f"{dtype}: {type(error).__name__}: {error}")
        assert type(error) is KeyError
        assert not isinstance(error, safetensors.SafetensorError)
    else:
        raise SystemExit(f"{dtype} is read now")
widened = (bits.astype(np.uint32) << 16).view(np.float32)
print("widened by hand:", widened)
assert (widened == values).all()
PYTHON
