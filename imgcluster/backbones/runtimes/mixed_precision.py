"""Mixed precision in OpenVINO: the first layers stay in float32 while the rest computes in bfloat16."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from imgcluster.backbones.runtimes.openvino_package import import_openvino
from imgcluster.errors import ConfigError

MODEL = "model.xml"
NO_OPERATORS = ("Const", "Parameter", "Result")
CONVOLUTIONS = ("Convolution", "GroupConvolution")


def keep_exact(model: Any, convolutions: int) -> Any:
    """Return an OpenVINO model whose operators up to the last of so many convolutions stay in float32.

    Rounding in the first layers changes features most: each BatchNorm behind them amplifies it. OpenVINO takes this
    mark only from a model file. All operators are marked, not only the convolutions: OpenVINO cannot compile a
    convolution fused with a sum of another precision.

    Raises ConfigError where there is no space for the file.
    """
    if not convolutions:
        return model
    ov = import_openvino()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / MODEL
        try:
            ov.save_model(model, path, compress_to_fp16=False)
        except RuntimeError:  # from C++, with no message about a full disk
            place = gettempdir()
            raise ConfigError(
                f"{place!r} does not take a copy of the network: no space? Set TMPDIR elsewhere"
            ) from None
        tree = ET.parse(path)  # noqa: S314 (written the line before)
        for layer in _first_part(tree, convolutions):
            marks = layer.find("rt_info")
            marks = ET.SubElement(layer, "rt_info") if marks is None else marks
            ET.SubElement(marks, "attribute", {"name": "precise", "version": "0"})
        tree.write(path)
        return ov.Core().read_model(path)


def _first_part(tree: ET.ElementTree[ET.Element], convolutions: int) -> list[ET.Element]:
    part: list[ET.Element] = []
    passed = 0
    for layer in tree.iterfind("./layers/layer"):
        passed += layer.get("type") in CONVOLUTIONS
        if passed > convolutions:
            break
        if layer.get("type") not in NO_OPERATORS:
            part.append(layer)
    return part
