"""Each case of the catalogue of bad input, and the table of them that stands in the repository."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.bad_input import Case, all_cases, check, outcome_of, row
from tests.support.warm import Nursery

CASES = all_cases()
TABLE = (ROOT / "tests/support/BAD_INPUT.md").read_text(encoding="utf-8")


QUICK = 5  # of each group; the others are slow
PARAMETERS = [
    pytest.param(case, id=f"{group}: {case.name}", marks=[pytest.mark.slow] if number >= QUICK else [])
    for group, cases in groupby(CASES, key=lambda case: case.group)
    for number, case in enumerate(cases)
]


@pytest.mark.parametrize("case", PARAMETERS)
def test_it(case: Case, tmp_path: Path, nursery: Nursery) -> None:
    if reason := case.skip():
        pytest.skip(reason)
    outcome = outcome_of(case, tmp_path / "own", nursery)
    check(case, outcome)
    assert row(case, outcome) in TABLE.splitlines()


def test_the_table_has_no_other_cases() -> None:
    names = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| input"))]
    assert len(names) == len(CASES) >= 80
