"""Messages of the library as the command line shows them: its options in the place of parameters."""

from __future__ import annotations

import pytest

from imgcluster.cli.main import build_parser
from imgcluster.cli.options import with_options

SUGGEST = ["suggest", "run", "--out", "a.csv"]
SCORE = ["score", "run", "truth.csv"]


@pytest.mark.parametrize(
    ("line", "message", "shown"),
    [
        (SUGGEST, "count: 0; allowed: whole numbers >= 1", "--count: 0; allowed: whole numbers >= 1"),
        (["stability", "run"], "trials: 0; allowed: 1", "--trials: 0; allowed: 1"),
        (["explain", "run"], "label: there is no class 'x'", "--class: there is no class 'x'"),
        (["learn", "c", "l", "--out", "m"], "learning_rate: 0", "--learning-rate: 0"),
        (["learn", "c", "l", "--out", "m"], "overrides: 'c' is a run folder", "--set: 'c' is a run folder"),
        (SCORE, "labels: 'x': no such file", "labels: 'x': no such file"),  # an argument, and no option
        (
            SCORE,
            "truth: name it with label_column=NAME",
            "truth: name it with --label-column NAME",
        ),
        (["show", "run"], "damaged; run it again with force=True", "damaged; run it again with --force"),
        (["run", "c"], "images.folder: 'force' is not a folder", "images.folder: 'force' is not a folder"),
        (["run", "c"], "set IMGCLUSTER_CACHE=DIR", "set IMGCLUSTER_CACHE=DIR"),
        (["run", "c"], "--set method=AUTO: unknown", "--set method=AUTO: unknown"),
        (["run", "c"], "set outputs.folder=DIR", "set outputs.folder=DIR"),
        (["show", "run"], "say where: imgcluster.images_are_in(RUN, FOLDER)", "say where: --images-folder FOLDER"),
        (["show", "run"], "take it back with imgcluster.undo_export", "take it back with --undo"),
        (
            ["export-folders", "a run", "out", "--copy"],
            "imgcluster.undo_export(FOLDER) takes back what was done",
            "python -m imgcluster export-folders 'a run' out --undo takes back what was done",
        ),
        (["run", "c"], "overrides entry x: not KEY=VALUE", "--set x: not KEY=VALUE"),
        (["run", "c"], "features.layr (overrides): unknown key", "features.layr (--set): unknown key"),
    ],
)
def test_parameters_are_shown_as_options(line: list[str], message: str, shown: str) -> None:
    assert with_options(message, build_parser().parse_args(line)) == shown
