"""`python -m tests.support.bad_input`: do all cases, and print the table of what became of them."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.bad_input import all_cases, check, outcome_of, table
from tests.support.warm import Nursery


def main() -> None:
    """Print the table, and on standard error what is not as its case says; exit with 1 where there is any."""
    cases = all_cases()  # first: libraries that they import change the environment, and the nursery has to have it
    nursery = Nursery()
    rows, wrong = [], 0
    for one in cases:
        if reason := one.skip():
            print(f"{one.name}: not here: {reason}", file=sys.stderr)
            continue
        with TemporaryDirectory() as folder:
            outcome = outcome_of(one, Path(folder), nursery)
        rows.append((one, outcome))
        try:
            check(one, outcome)
        except AssertionError as error:
            wrong += 1
            print(f"{one.name}: {error}", file=sys.stderr)
    print(table(rows))
    nursery.close()
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
