"""Which versions of which packages are installed, and which are asked for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

NOT_INSTALLED = "not installed"


def installed(package: str) -> str:
    """Return the version of a package, for a person."""
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


def asked_for(extra: str = "") -> list[Requirement]:
    """Return what this package asks for, with an extra what that adds; nothing where it is not installed itself."""
    try:
        asked = [Requirement(line) for line in requires("imgcluster") or []]
    except PackageNotFoundError:
        return []
    if not extra:
        return [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [each for each in asked if each.marker is not None and _is_of(each, extra)]


def _is_of(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
