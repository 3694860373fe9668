"""CONTRIBUTING.md and docs/: packages, paths, names and commands that are named there exist."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import imgcluster
from tests import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = [CONTRIBUTING, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]
LINKING = [*DOCUMENTS, ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), ROOT / "tests" / "golden" / "README.md"]
TEXT = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
PLACEHOLDERS = re.compile(r"\b(PACKAGE|MODULE|NAME|RUN)\b")  # in paths such as tests/PACKAGE/test_MODULE.py
ROOTS = ("imgcluster/", "tests/", "configs/", "data/", "docs/", "findings/", ".ci/", ".github/")
OUTSIDE_IMGCLUSTER = re.compile(r"^(pip|python -m (venv|pytest)|source|pre-commit|nox|ruff|mypy|lint-imports)\b")


def layers_of_the_contract() -> list[set[str]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^layers = \[\n(.*?)^\]", text, flags=re.M | re.S)
    return [{*line.split(" | ")} for line in re.findall(r'"(.*)"', listed)]


def parts_of_the_package() -> set[str]:
    """The packages, and the modules beside them that hold more than a start."""
    folder = Path(imgcluster.__file__).parent
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT[path], flags=re.M | re.S)


def paths_in(path: Path) -> set[str]:
    """Paths from the root of the repository that stand in code."""
    code = re.findall(r"`([^`\s]+)`", TEXT[path])
    shell = " ".join(blocks(path, "sh")).split()
    named = {each.partition("::")[0] for each in [*code, *shell] if each.startswith(ROOTS)}
    return {each for each in named if not PLACEHOLDERS.search(each)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_paths_exist(path: Path) -> None:
    assert [each for each in sorted(paths_in(path)) if not (ROOT / each).exists()] == []


def test_contributing_names_paths() -> None:
    assert len(paths_in(CONTRIBUTING)) > 20


def headings(path: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    found = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("path", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text(encoding="utf-8")):
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), f"{target}#{anchor}"


def test_every_package_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [A-Z]", TEXT[ARCHITECTURE], flags=re.M)
    assert sorted(rows) == sorted(parts_of_the_package())


def test_the_drawing_is_the_contract() -> None:
    drawing = blocks(ARCHITECTURE, "mermaid")[0]
    lines = [line.strip().split(" --> ") for line in drawing.splitlines()[1:]]
    assert all(below == above for (_, below), (above, _) in pairwise(lines))
    layers = [lines[0][0], *(below for _, below in lines)]
    assert [{*layer.split(" & ")} for layer in layers] == layers_of_the_contract()


def test_the_flow_names_functions_of_the_pipeline() -> None:
    flow = blocks(ARCHITECTURE, "mermaid")[1]
    functions = re.findall(r"\|(\w+)\|", flow)
    assert len(functions) == 6
    pipeline = importlib.import_module("imgcluster.pipeline")
    for name in functions:
        assert hasattr(pipeline, name) or name in imgcluster.__all__, name


def test_files_of_a_run_are_those_in_the_table() -> None:
    from imgcluster.config import config_from_dict
    from imgcluster.runs import output_names

    (row,) = re.findall(r"^\| run folder \|.*$", TEXT[ARCHITECTURE], flags=re.M)
    config = config_from_dict(
        {"images": {"folder": "x"}, "clusters": {"n_clusters": 2}, "outputs": {"folder": "y", "report": False}}
    )
    for name in output_names(config):
        assert f"`{name}`" in row


COMMANDS = [line for block in blocks(CONTRIBUTING, "sh") for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for line in COMMANDS if "::" in line])
def test_the_command_for_one_test_runs_it(line: str) -> None:
    program, *arguments = line.split()
    assert program == "python"
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_every_command_is_known() -> None:
    for line in COMMANDS:
        if OUTSIDE_IMGCLUSTER.match(line):
            continue
        program, option, module, *_ = line.split()
        assert (program, option) == ("python", "-m")
        assert importlib.util.find_spec(module) is not None, line


def test_linters_are_those_of_ci() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    linters = next(block for block in blocks(CONTRIBUTING, "sh") if block.startswith("ruff"))
    assert {*linters.splitlines()} <= {*ci}
