#!/usr/bin/env bash
# torch: `module.to(memory_format=torch.channels_last)` fails for a module that holds one 5-dimensional tensor.
#
# One would guess: as the documentation of Module.to says, the format is "for 4D parameters and buffers", and tensors of any
# other rank are left as they are; 1, 2, 3 and 6 dimensions are.
# Seen: tensors of 5 dimensions are handed on too, and the call ends with "required rank 4 tensor to use channels_last
# format". Networks for pictures meet this without any 3-D convolution: a traced Swin keeps its attention masks and position tables as
# buffers of rank 5. The tensors before the failing one stay converted.
# Do instead: go through the parameters and buffers yourself, and convert those with `dim() == 4`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import torch
from torch import nn

print("torch", torch.__version__)


def holding(rank):
    """Return a module with a convolution for pictures, and a buffer of some rank beside it."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    module.register_buffer("table", torch.zeros([2] * rank))
    return module


for rank in (1, 2, 3, 4, 5, 6):
    module = holding(rank)
    try:
        module.to(memory_format=torch.channels_last)
        seen = "taken"
    except RuntimeError as error:
        seen = f"RuntimeError: {error}"
    half = module[0].weight.is_contiguous(memory_format=torch.channels_last)
    print(f"buffer of rank {rank}: {seen}; the convolution is channels_last: {half}")
    assert (seen == "taken") == (rank != 5)
    assert half

module = holding(5)
for tensor in (*module.parameters(), *module.buffers()):
    if tensor.dim() == 4:
        tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
PYTHON
