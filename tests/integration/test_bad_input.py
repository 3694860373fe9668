"""Each case of the catalogue of bad input, and the table of them that stands in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ROOT
from tests.support.bad_input import Case, all_cases, check, outcome_of, row
from tests.support.warm import Nursery

CASES = all_cases()
TABLE = (ROOT / "tests/support/BAD_INPUT.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=[f"{each.group}: {each.name}" for each in CASES])
def test_it(case: Case, tmp_path: Path, nursery: Nursery) -> None:
    if reason := case.skip():
        pytest.skip(reason)
    outcome = outcome_of(case, tmp_path / "own", nursery)
    check(case, outcome)
    assert row(case, outcome) in TABLE.splitlines()


def test_the_table_has_no_other_cases() -> None:
    names = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| input"))]
    assert len(names) == len(CASES) >= 80
