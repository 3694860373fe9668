"""Commands killed with -9 at any moment: the same command completes. `python -m tests.support.kills 50` does more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kills import COMMANDS, Trials
from tests.support.warm import Nursery

MOMENT = 0.6  # of the time that the command needs undisturbed


@pytest.mark.parametrize(
    "name", ["run", *(pytest.param(each, marks=pytest.mark.slow) for each in COMMANDS if each != "run")]
)
def test_the_same_command_makes_it_good(name: str, tmp_path: Path, nursery: Nursery) -> None:
    trials = Trials(name, tmp_path / "trials", nursery)
    for made in COMMANDS[name].makes:
        assert [each for each in trials.expected if each.startswith(made)], made
    trials.kill_once(MOMENT)
