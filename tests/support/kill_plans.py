"""Apply a plan of duplicates and undo it, killed before every step: `python -m tests.support.kill_plans FOLDER`.

Prints how many kills there were, or what differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from imgcluster.curation import apply_plan, find_duplicates
from imgcluster.runs import csv_text, undo_export
from tests.support.copied import photograph, picture_run, png
from tests.support.folder_runs import snapshot
from tests.support.kill_everywhere import killed_at


def main(root: Path) -> None:
    picture = photograph(0, 30, 40)
    run = picture_run(root, {name: png(picture) for name in ("a.png", "b.png", "deep/a.png")})
    plan = root / "plan.csv"
    plan.write_text(csv_text(find_duplicates(run).text_table()))
    print(_kill_applying(root, run, plan), _kill_undoing(root, run, plan))


def _kill_applying(root: Path, run: Path, plan: Path) -> int:
    out, before = root / "out", snapshot(root / "images")
    for step in range(1000):
        finished = killed_at(step, root, lambda: apply_plan(run, plan, out))
        if step % 2 == 0:  # every other time the same command goes on first
            done = apply_plan(run, plan, out)
            assert not done.refused, f"killed before step {step}: {done.refused}"
            assert len(list(out.glob("group-1/*.png"))) == 2
            assert len(snapshot(root / "images")) < len(before)
        if out.exists():
            undo_export(out, run)
        assert not out.exists() or not [*out.iterdir()]
        if out.exists():
            out.rmdir()
        assert snapshot(root / "images") == before, f"killed before step {step}"
        if finished:
            return step
    raise AssertionError("it never ends")


def _kill_undoing(root: Path, run: Path, plan: Path) -> int:
    out, before = root / "out", snapshot(root / "images")
    for step in range(1000):
        apply_plan(run, plan, out)
        finished = killed_at(step, root, lambda: undo_export(out, run))
        if out.exists() and [*out.iterdir()]:
            undo_export(out, run)
        if out.exists():
            out.rmdir()
        assert snapshot(root / "images") == before, f"undo killed before step {step}"
        if finished:
            return step
    raise AssertionError("it never ends")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
