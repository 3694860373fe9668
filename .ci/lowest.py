"""Print one pip constraint for each direct dependency of the package and its tests: the lowest version allowed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def direct(project: dict[str, Any], *extras: str) -> list[Requirement]:
    """Return what the package requires, and what its extras do, those included that they name."""
    found = [Requirement(text) for text in project["dependencies"]]
    todo, seen = list(extras), set()
    while todo:
        extra = todo.pop()
        if extra not in seen:
            seen.add(extra)
            found += [Requirement(text) for text in project["optional-dependencies"][extra]]
            todo += [name for each in found if each.name == project["name"] for name in each.extras]
    return [each for each in found if each.name != project["name"]]


def lowest(requirement: Requirement) -> str:
    """Return the lowest version that a requirement allows. Raises ValueError: it names none."""
    bounds = [each.version for each in requirement.specifier if each.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement}: no lower bound")
    return bounds[0]


def main() -> None:
    """Print them, one a line."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in dict.fromkeys(f"{canonicalize_name(each.name)}=={lowest(each)}" for each in direct(project, "test")):
        print(line)


if __name__ == "__main__":
    main()
