"""Sessions of nox, each in an environment of its own: `nox -l` lists them, `nox -s lint` runs one."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """Run the quick tests, or those given after `--`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the slow tests: kills, fuzzing, browsers, long clusterings."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-m", "slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff, mypy and import-linter."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "imgcluster")
    session.run("lint-imports")


@nox.session(venv_backend="none")
def lowest(session: nox.Session) -> None:
    """Run a selection of the tests with the lowest versions allowed of all dependencies."""
    session.run(".ci/lowest", *session.posargs, external=True)


@nox.session
def golden(session: nox.Session) -> None:
    """Write the golden record anew, for changes that are meant to change results."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.golden.make", *session.posargs)
