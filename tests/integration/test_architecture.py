"""The house keeps its shape: front doors, names, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgcluster

PACKAGE = Path(imgcluster.__file__).parent
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULES_AT_THE_TOP = 6


def imported(path: Path) -> Iterator[str]:
    """Every module that a source imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_other_packages_are_entered_by_their_front_doors() -> None:
    past = []
    for path in MODULES:
        own = path.relative_to(PACKAGE).parts[0]
        others = [name.split(".") for name in imported(path) if name.startswith("imgcluster.")]
        inside = [".".join(name) for name in others if name[1] in PACKAGES and name[1] != own and len(name) > 2]
        past += [(str(path), name) for name in inside if path.name != "__main__.py"]
    assert past == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_front_door_names_no_module(package: str) -> None:
    """`from imgcluster.x import name` would give the function or the module, whichever came first."""
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")}
    modules |= {path.parent.name for path in (PACKAGE / package).glob("*/__init__.py")}
    names = getattr(__import__(f"imgcluster.{package}", fromlist=["__all__"]), "__all__", [])
    assert modules & {*names} == set()


def test_few_modules_lie_at_the_top() -> None:
    assert len([*PACKAGE.glob("*.py")]) <= MAX_MODULES_AT_THE_TOP


def test_every_name_of_a_front_door_can_be_had() -> None:
    for package in PACKAGES:
        module = __import__(f"imgcluster.{package}", fromlist=["__all__"])
        for name in getattr(module, "__all__", []):
            assert getattr(module, name) is not None


MAX_LINES = 350
# Imported where they are used: each takes tens of milliseconds to seconds, or is an extra that may be missing.
LATE = {
    "PIL", "av", "dask", "dask_ml", "distributed", "efficientnet_lite_pytorch", "faiss", "fsspec", "huggingface_hub",
    "imagecodecs", "jinja2", "matplotlib", "open_clip", "openvino", "packaging", "pandas", "pyarrow", "pydicom",
    "rawpy", "safetensors", "scipy", "skimage", "sklearn", "threadpoolctl", "tifffile", "timm", "torch", "torchvision",
    "tqdm", "umap", "yaml",
}  # fmt: skip
# Of the standard library: seldom needed, and for tens of milliseconds of a short command.
LATE_STANDARD = {"importlib", "multiprocessing", "pickle", "webbrowser", "zipfile"}
# Own modules that are imported late outside `cli`, each since it needs a library of LATE as it is loaded.
LATE_OWN = {
    "imgcluster.backbones",
    "imgcluster.backbones.hog",
    "imgcluster.backbones.layer_outputs",
    "imgcluster.backbones.runtimes.torch_runtime",
    "imgcluster.backbones.timm_vector",
    "imgcluster.clustering.kmeans.gpu",
    "imgcluster.datasets",
    "imgcluster.features",
    "imgcluster.images",
    "imgcluster.images.decode",
    "imgcluster.images.shown",
    "imgcluster.cli.main",  # once a Ctrl-C ends its imports without a traceback
}


def late_imports(path: Path) -> Iterator[str]:
    """Every module that a source imports inside a function."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom):
                    yield str(node.module)
                elif isinstance(node, ast.Import):
                    yield from (each.name for each in node.names)


def test_no_module_is_long() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert [str(path) for path, count in lines.items() if count > MAX_LINES] == []


def test_imports_inside_functions_are_of_heavy_libraries() -> None:
    """None dodges a cycle."""
    strange = []
    for path in MODULES:
        is_cli = path.relative_to(PACKAGE).parts[0] == "cli"
        for name in late_imports(path):
            if name.startswith("imgcluster"):
                allowed = is_cli or name in LATE_OWN
            else:
                allowed = name.split(".")[0] in LATE | LATE_STANDARD
            strange += [] if allowed else [(str(path), name)]
    assert strange == []
