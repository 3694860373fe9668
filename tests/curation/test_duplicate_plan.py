from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcluster import export_folders, undo_export
from imgcluster.curation import apply_plan, find_duplicates
from imgcluster.curation.distinct_pairs import read_distinct
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs import csv_text, find_features, read_run
from imgcluster.runs.folder_export import export
from tests import ROOT
from tests.runs.folder_export.test_export import EVIL
from tests.support.copied import link_to, photograph, picture_run, png, resized
from tests.support.folder_runs import snapshot

Row = dict[str, str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two groups: a.png with deep/a.png, of the same bytes, and small.png; x.png and y.png."""
    first, second = photograph(0), photograph(1)
    pictures = {
        "a.png": png(first),
        "deep/a.png": png(first),
        "small.png": resized(first, 0.5),
        "x.png": png(second),
        "y.png": png(second),
        "other.png": photograph(2),
    }
    return picture_run(tmp_path, pictures)


@pytest.fixture
def plan(tmp_path: Path, run: Path) -> Path:
    path = tmp_path / "plan.csv"
    path.write_text(csv_text(find_duplicates(run).text_table()))
    return path


def edit(plan: Path, change: Callable[[Row], Row | None]) -> None:
    """Edit the rows of a plan as a spreadsheet does; None: the row goes."""
    with plan.open(newline="", encoding="utf-8") as file:
        rows = [new for row in csv.DictReader(file) if (new := change(row)) is not None]
    with plan.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def line_of(plan: Path, id: str) -> int:
    with plan.open(newline="", encoding="utf-8") as file:
        return next(line for line, row in enumerate(csv.DictReader(file), 2) if row["id"] == id)


def images(root: Path) -> dict[str, tuple[object, ...]]:
    return snapshot(root / "images")


def test_there_and_back_to_the_byte(tmp_path: Path, run: Path, plan: Path) -> None:
    before, out = images(tmp_path), tmp_path / "out"
    done = apply_plan(run, plan, out)
    assert (done.moved, done.kept, done.distinct, done.refused) == (3, 2, 0, {})
    assert {str(path.relative_to(out)) for path in out.glob("[!.]*/*")} == {
        "group-1/a.png",
        "group-1/small.png",
        "group-2/y.png",
    }
    assert not {"deep/a.png", "small.png", "y.png"} & images(tmp_path).keys()
    assert {"a.png", "x.png", "other.png"} <= images(tmp_path).keys()
    assert undo_export(out, run).back == 3
    assert images(tmp_path) == before
    assert not out.exists()


def test_the_same_plan_again_moves_nothing_twice(tmp_path: Path, run: Path, plan: Path) -> None:
    out = tmp_path / "out"
    apply_plan(run, plan, out)
    done = apply_plan(run, plan, out)
    assert (done.moved, done.before, done.refused) == (0, 3, {})


def test_more_of_a_plan_can_be_carried_out_later(tmp_path: Path, run: Path, plan: Path) -> None:
    out, before = tmp_path / "out", images(tmp_path)
    edit(plan, lambda row: {**row, "action": "keep" if row["id"] == "y.png" else row["action"]})
    assert apply_plan(run, plan, out).moved == 2
    edit(plan, lambda row: {**row, "action": "Move " if row["id"] == "y.png" else row["action"]})
    done = apply_plan(run, plan, out)
    assert (done.moved, done.before) == (1, 2)
    undo_export(out)
    assert images(tmp_path) == before


def test_rows_of_other_images_are_refused_and_the_others_carried_out(tmp_path: Path, run: Path, plan: Path) -> None:
    (tmp_path / "images" / "small.png").write_bytes(png(photograph(9)))
    (tmp_path / "images" / "deep" / "a.png").unlink()
    done = apply_plan(run, plan, tmp_path / "out")
    assert done.moved == 1
    assert "has changed since the plan was made" in done.refused[line_of(plan, "small.png")]
    assert "no such file" in done.refused[line_of(plan, "deep/a.png")]
    assert len(done.refused) == 2


def test_no_group_loses_its_last_image(tmp_path: Path, run: Path, plan: Path) -> None:
    (tmp_path / "images" / "a.png").unlink()  # which the others are copies of
    edit(plan, lambda row: {**row, "action": "move"} if row["group"] == "2" else row)
    before = images(tmp_path)
    done = apply_plan(run, plan, tmp_path / "out")
    assert (done.moved, done.folder) == (0, None)
    assert sum("would stay" in reason for reason in done.refused.values()) == 4
    assert images(tmp_path) == before


def test_the_file_behind_a_kept_link_stays(tmp_path: Path, run: Path, plan: Path) -> None:
    link_to(tmp_path / "images" / "deep" / "a.png", tmp_path / "images" / "a.png")
    before = images(tmp_path)
    done = apply_plan(run, plan, tmp_path / "out")
    assert done.moved == 2
    assert [*done.refused] == [line_of(plan, "deep/a.png")]
    assert re.search("images/a.png', which says keep, is the same file", done.refused[line_of(plan, "deep/a.png")])
    assert (tmp_path / "images" / "a.png").is_file()
    undo_export(tmp_path / "out")
    actions = {"a.png": "move", "deep/a.png": "keep"}
    edit(plan, lambda row: {**row, "action": actions.get(row["id"], row["action"])})
    assert apply_plan(run, plan, tmp_path / "out").refused == {}
    assert (tmp_path / "images" / "deep" / "a.png").is_file()
    undo_export(tmp_path / "out")
    assert images(tmp_path) == before


def test_a_link_that_another_kept_link_may_lead_through_stays(tmp_path: Path, run: Path, plan: Path) -> None:
    folder = tmp_path / "images"
    (folder / "real.png").write_bytes((folder / "x.png").read_bytes())
    link_to(folder / "real.png", folder / "y.png")
    link_to(folder / "y.png", folder / "x.png")
    assert [*apply_plan(run, plan, tmp_path / "out").refused] == [line_of(plan, "y.png")]
    assert (folder / "x.png").is_file()


def test_hard_links_are_moved(tmp_path: Path, run: Path, plan: Path) -> None:
    (tmp_path / "images" / "y.png").unlink()
    (tmp_path / "images" / "y.png").hardlink_to(tmp_path / "images" / "x.png")
    assert apply_plan(run, plan, tmp_path / "out").refused == {}
    assert (tmp_path / "images" / "x.png").is_file()


def test_a_file_with_two_ids_is_not_moved_from_itself(tmp_path: Path) -> None:
    picture, plan = png(photograph(0)), tmp_path / "plan.csv"
    run = picture_run(tmp_path, {"z/a.png": picture, "z/../z/a.png": picture})
    path, digest = tmp_path / "images" / "z" / "a.png", find_features(read_run(run)).digests()[0]
    rows = [["group", "id", "path", "action", "digest"]]
    rows += [["1", id, str(path), action, digest] for id, action in (("z/a.png", "move"), ("z/../z/a.png", "keep"))]
    plan.write_text("".join(f"{','.join(row)}\n" for row in rows))
    done = apply_plan(run, plan, tmp_path / "out")
    assert [*done.refused] == [2]
    assert path.is_file()


EDITS: dict[str, tuple[Callable[[Row], Row], str]] = {
    "action": (lambda row: {**row, "action": "delete"}, "action 'delete'; allowed: keep, move, distinct"),
    "id": (lambda row: {**row, "id": "nobody.png"}, "the run has no image 'nobody.png'"),
    "path": (lambda row: {**row, "path": "/etc/passwd"}, "the run has .*small.png' as 'small.png'"),
    "group": (lambda row: {**row, "group": "../1"}, "group '../1' is not a whole number"),
    "digest": (lambda row: {**row, "digest": ""}, "has changed since the plan was made"),
    "twice": (lambda row: {**row, "id": "a.png", "action": "move"}, "'a.png' is in the plan twice"),
}


@pytest.mark.parametrize("name", EDITS)
def test_rows_that_were_edited_wrongly_are_refused(tmp_path: Path, run: Path, plan: Path, name: str) -> None:
    line, (change, message) = line_of(plan, "small.png"), EDITS[name]
    edit(plan, lambda row: change(row) if row["id"] == "small.png" else row)
    done = apply_plan(run, plan, tmp_path / "out")
    assert [*done.refused] == [line]
    assert re.search(message, done.refused[line])
    assert done.moved == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "plan"),
        (b"id,label\na.png,1\n", "lacks the columns group, path, action, digest"),
        (b'group,id\n"1,2\n', "is not valid CSV"),
        (b"", "lacks the columns"),
        (None, "No such file"),
    ],
)
def test_what_is_no_plan_is_told(tmp_path: Path, run: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "strange.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        apply_plan(run, path, tmp_path / "out")


def test_an_empty_plan_does_nothing(tmp_path: Path, run: Path, plan: Path) -> None:
    plan.write_text(plan.read_text().splitlines(keepends=True)[0])
    assert apply_plan(run, plan).moved == 0


def test_a_plan_of_another_run_is_refused_row_by_row(tmp_path: Path, plan: Path) -> None:
    other = picture_run(tmp_path / "elsewhere", {"x.png": photograph(7), "z.png": photograph(8)})
    done = apply_plan(other, plan, tmp_path / "out")
    assert done.moved == 0
    assert len(done.refused) == 5
    assert not (tmp_path / "out").exists()


def test_moves_need_a_folder_outside_of_the_images(tmp_path: Path, run: Path, plan: Path) -> None:
    with pytest.raises(ConfigError, match=r"3 rows .* say move; say where: to=FOLDER"):
        apply_plan(run, plan)
    with pytest.raises(OutputError, match=r"inside of images\.folder"):
        apply_plan(run, plan, tmp_path / "images" / "out")


def test_another_export_is_not_mixed_with_a_plan(tmp_path: Path, run: Path, plan: Path) -> None:
    export_folders(run, tmp_path / "out", "move")
    with pytest.raises(OutputError, match="or of something else; take it back"):
        apply_plan(run, plan, tmp_path / "out")


def test_distinct_images_are_remembered_and_never_proposed_again(tmp_path: Path, run: Path, plan: Path) -> None:
    edit(plan, lambda row: {**row, "action": "distinct"} if row["id"] in ("small.png", "y.png") else row)
    done = apply_plan(run, plan, tmp_path / "out")
    assert (done.moved, done.distinct) == (1, 2)  # with a.png, which is deep/a.png too; with itself
    assert len(read_distinct(run)) == 2
    undo_export(tmp_path / "out")
    found = find_duplicates(run)
    assert [sorted(copy.id for copy in group) for group in found.groups.values()] == [["a.png", "deep/a.png"]]
    assert apply_plan(run, plan, tmp_path / "out").distinct == 0


def test_odd_names_there_and_back(tmp_path: Path) -> None:
    picture = photograph(0)
    run = picture_run(tmp_path, {f"{place} {name}.png"[-120:]: png(picture, 1) for place, name in enumerate(EVIL)})
    path, before = tmp_path / "plan.csv", images(tmp_path)
    path.write_bytes(csv_text(find_duplicates(run).text_table()).encode())
    done = apply_plan(run, path, tmp_path / "out")
    assert (done.moved, done.refused) == (len(EVIL) - 1, {})
    undo_export(tmp_path / "out")
    assert images(tmp_path) == before


def test_an_image_that_the_system_holds_fast_is_told(
    tmp_path: Path, run: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export.place

    def held(action: str, entry: export.Entry, root: Path) -> None:
        if entry.source.endswith("small.png"):
            raise PermissionError(13, "Permission denied", entry.source)
        real(action, entry, root)

    monkeypatch.setattr(export, "place", held)
    done = apply_plan(run, plan, tmp_path / "out")
    assert done.refused == {line_of(plan, "small.png"): f"'{tmp_path / 'images' / 'small.png'}': Permission denied"}
    assert done.moved == 2


def test_where_the_system_holds_all_nothing_is_there_to_undo(
    tmp_path: Path, run: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(_: str, entry: export.Entry, __: Path) -> None:
        raise PermissionError(13, "Permission denied", entry.source)

    with monkeypatch.context() as patched:
        patched.setattr(export, "place", held)
        for _ in range(2):
            done = apply_plan(run, plan, tmp_path / "out")
            assert (done.folder, done.moved, done.before, len(done.refused)) == (None, 0, 0, 3)
    done = apply_plan(run, plan, tmp_path / "out")
    assert (done.folder, done.moved, done.before, done.refused) == (tmp_path / "out", 3, 0, {})


def test_nothing_is_moved_from_a_protected_folder(tmp_path: Path, run: Path, plan: Path) -> None:
    done = apply_plan(run, plan, tmp_path / "out", protect=[tmp_path / "images" / "deep"])
    assert [*done.refused] == [line_of(plan, "deep/a.png")]
    assert "in a protected folder" in done.refused[line_of(plan, "deep/a.png")]
    assert done.moved == 2
    undo_export(tmp_path / "out")
    link_to(tmp_path / "images" / "y.png", tmp_path / "images" / "deep" / "a.png")
    done = apply_plan(run, plan, tmp_path / "new", protect=[tmp_path / "images" / "deep"])
    assert "in a protected folder" in done.refused[line_of(plan, "y.png")]
    with pytest.raises(ConfigError, match="protect: no image of the run lies in 'nope'"):
        apply_plan(run, plan, tmp_path / "out", protect=["nope"])


@pytest.mark.parametrize("separator", ";\t")
def test_plans_of_other_spreadsheets_are_read(tmp_path: Path, run: Path, plan: Path, separator: str) -> None:
    with plan.open(newline="") as file:
        rows = list(csv.reader(file))
    for place, row in enumerate(rows[1:]):
        row[0] += ("", ".0", ",0")[place % 3]
    with plan.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    done = apply_plan(run, plan, tmp_path / "out")
    assert (done.moved, done.refused) == (3, {})
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"group-1", "group-2"}


def test_an_empty_name_is_not_the_current_folder(
    tmp_path: Path, run: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="to: is empty"):
        apply_plan(run, plan, "")


def test_killed_before_any_step_all_comes_back(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tests.support.kill_plans", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    applied, undone = map(int, done.stdout.split())
    assert applied > 12
    assert undone > 8
