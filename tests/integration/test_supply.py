"""Supply: lower bounds of dependencies, digests of weights, both recorded by a run; the files that a wheel contains."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgcluster.config.backbone_table import BACKBONES, Backbone
from imgcluster.runs.writer import PACKAGES
from tests import ROOT

PUBLISHED_DIGITS = 8  # of the sha256, in the names of torchvision's files


def test_each_dependency_has_a_lower_bound() -> None:
    asked = subprocess.run([sys.executable, ROOT / ".ci" / "lowest.py"], capture_output=True, text=True, check=True)
    lines = asked.stdout.splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==\d+(\.\d+)*", line)] == []
    names = {line.partition("==")[0] for line in lines}
    assert {"torch", "numpy", "opencv-python", "efficientnet-lite-pytorch", "timm", "dask", "pytest"} <= names
    assert len(names) == len(lines)


@pytest.mark.parametrize(
    "backbone", [each for each in BACKBONES.values() if each.has_weights], ids=lambda each: each.name
)
def test_each_file_of_weights_has_a_digest(backbone: Backbone) -> None:
    """The whole one, or as many of its first digits as the publisher wrote into the file's name."""
    assert re.fullmatch(r"[0-9a-f]+", backbone.sha256)
    in_name = Path(backbone.file).stem.rpartition("-")[2]
    assert len(in_name) >= PUBLISHED_DIGITS
    assert backbone.sha256.startswith(in_name)
    assert len(backbone.sha256) in (len(in_name), 64)


def test_a_run_records_what_decides_its_result() -> None:
    deciding = {"imgcluster", "torch", "torchvision", "openvino", "opencv-python", "pillow", "numpy", "scikit-learn"}
    assert deciding <= set(PACKAGES)


def test_a_wheel_has_every_file_that_is_no_module() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (patterns,) = re.findall(r"^imgcluster = \[(.*)\]$", text, flags=re.M)
    package = ROOT / "imgcluster"
    packed = {path for pattern in re.findall(r'"([^"]+)"', patterns) for path in package.glob(pattern)}
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others == packed
    assert package / "py.typed" in packed  # type checkers read our annotations only where it is there
