from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from imgcluster.cli.format.duplicates import duplicates_lines
from imgcluster.cli.main import main
from imgcluster.curation import Copy, Duplicates, duplicate_plan
from tests.conftest import Command
from tests.support.copied import CHANGES, photograph, picture_run, png
from tests.support.folder_runs import snapshot


@pytest.fixture
def run(tmp_path: Path) -> Path:
    picture = photograph(0)
    return picture_run(
        tmp_path, {"a.png": png(picture), "b.png": png(picture), "c.png": photograph(1), "broken.png": b"x"}
    )


def called(*arguments: str | Path) -> int:
    return main([*map(str, arguments), "--quiet"])


def test_from_the_plan_to_the_undo(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, out, before = tmp_path / "my plan.csv", tmp_path / "out", snapshot(tmp_path / "images")
    assert called("duplicates", run, "--plan", plan) == 0
    told = capsys.readouterr().out
    assert "groups    1, with 1 copies (1 same bytes)" in told
    assert f"duplicates {run} --apply '{plan}' --to FOLDER" in told
    assert "group 1" not in told  # they are in the plan
    assert plan.read_text().startswith("group,level,id,path,action,reason,similarity,digest\n1,bytes,a.png,")
    assert called("duplicates", run, "--plan", plan) == 1
    assert "exists; overwrite it with --force" in capsys.readouterr().err
    assert called("duplicates", run, "--plan", plan, "--force") == 0
    assert called("duplicates", run, "--apply", plan, "--to", out) == 0
    told = capsys.readouterr().out
    assert f"undo      python -m imgcluster duplicates {run} --undo {out}\n" in told
    assert told.endswith("then      run the config again: 1 image of this run has moved\n")
    assert not (tmp_path / "images" / "b.png").exists()
    assert called("duplicates", run, "--undo", out) == 0
    assert "moved     1 image back" in capsys.readouterr().out
    assert snapshot(tmp_path / "images") == before


def test_the_first_groups_are_shown_and_the_kept_image_without_a_similarity() -> None:
    groups = [
        Copy(number, "same", f"{number}{action}.png", "", action, "largest", 0.9, "", 1)
        for number in range(1, 24)
        for action in ("keep", "move")
    ]
    lines = duplicates_lines(Duplicates(groups, 99, "same"), "out", None)
    assert lines[2:5] == [
        "  group 1: 2 images",
        "    keep  same picture       1keep.png (largest)",
        "    move  same picture 0.90  1move.png (largest)",
    ]
    assert sum(line.startswith("  group ") for line in lines) == 20
    assert "  and 3 more groups: --plan FILE, --json" in lines
    assert len(duplicates_lines(Duplicates(groups, 99, "same"), "out", Path("plan.csv"))) == 5


def test_json(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("duplicates", run, "--json", "--plan", tmp_path / "plan.csv") == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"level", "images", "groups"}
    assert (found["level"], found["images"], len(found["groups"])) == ("same", 3, 1)
    copy = found["groups"][0]["images"][1]
    keys = {"group", "level", "id", "path", "action", "reason", "similarity", "digest", "size"}
    assert copy.keys() == keys
    assert (copy["id"], copy["action"], copy["level"], copy["similarity"]) == ("b.png", "move", "bytes", 1.0)
    assert called("duplicates", run, "--json", "--apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 0
    done = json.loads(capsys.readouterr().out)
    assert done.keys() == {"folder", "moved", "before", "kept", "distinct", "refused"}
    assert (done["moved"], done["refused"]) == (1, {})
    assert called("duplicates", run, "--json", "--undo", tmp_path / "out") == 0
    undone = json.loads(capsys.readouterr().out)
    assert (undone["folder"], undone["back"], undone["stuck"]) == (str(tmp_path / "out"), 1, {})


def test_refused_rows_end_with_1_and_the_others_are_carried_out(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.csv"
    assert called("duplicates", run, "--plan", plan) == 0
    (tmp_path / "images" / "b.png").write_bytes(b"another")
    assert called("duplicates", run, "--apply", plan, "--to", tmp_path / "out") == 1
    told = capsys.readouterr()
    assert "refused   line 3: " in told.out
    assert "1 rows of" in told.err
    assert "has changed since the plan was made" in told.err
    assert (tmp_path / "images" / "b.png").read_bytes() == b"another"


def test_the_default_rules_follow_those_that_are_named(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.utime(tmp_path / "images" / "b.png", (1, 1))
    assert called("duplicates", run, "--keep", "path:*.png") == 0
    assert "keep  same bytes         b.png (oldest)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "near"], "--level: 'near'; allowed: exact, same, scene"),
        (["--keep", "largest,biggest"], "--keep: there is no rule 'biggest'"),
        (["--to", "out"], "--to: only with --apply PLAN"),
        (["--apply", "nothing.csv"], "--apply: 'nothing.csv': No such file"),
        (["--apply", "nothing.csv", "--to", ""], "--to: is empty; name a file or folder"),
        (["--undo", ""], "--undo: is empty"),
        (["--protect", "nope"], "--protect: no image of the run lies in 'nope'"),
        (["--undo", "nothing"], "'nothing' is not a folder"),
    ],
)
def test_wrong_options_are_told(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("duplicates", run, *arguments) == 1
    assert message in capsys.readouterr().err


def test_moves_without_a_folder_are_told_by_the_option(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("duplicates", run, "--plan", tmp_path / "plan.csv") == 0
    assert called("duplicates", run, "--apply", tmp_path / "plan.csv") == 1
    told = capsys.readouterr().err
    assert "--apply: 1 rows" in told
    assert "say where: --to FOLDER" in told
    arguments = ("--to", tmp_path / "out", "--protect", tmp_path / "images")
    assert called("duplicates", run, "--apply", tmp_path / "plan.csv", *arguments) == 1
    assert "in a protected folder" in capsys.readouterr().err
    assert (tmp_path / "images" / "b.png").exists()


def test_ctrl_c_while_moving_leaves_what_the_same_command_completes(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = tmp_path / "plan.csv", tmp_path / "out"
    assert called("duplicates", run, "--plan", plan) == 0

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(duplicate_plan, "move_images", stopped)
        assert called("duplicates", run, "--apply", plan, "--to", out) == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    assert called("duplicates", run, "--apply", plan, "--to", out) == 0
    assert (out / "group-1" / "b.png").is_file()


def test_nothing_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = picture_run(tmp_path, {"a.png": photograph(0)})
    assert called("duplicates", run, "--plan", tmp_path / "plan.csv") == 0
    assert "groups    0, with 0 copies" in capsys.readouterr().out
    assert len((tmp_path / "plan.csv").read_text().splitlines()) == 1


def test_leaks(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = picture_run(tmp_path / "b", {"again.png": CHANGES["a third"](photograph(1)), "new.png": photograph(5)})
    table = tmp_path / "leaks.csv"
    assert called("leaks", run, other, "--csv", table) == 0
    told = capsys.readouterr().out
    assert "pairs     1 (1 same picture)" in told
    assert "c.png  again.png" in told
    header, row = table.read_text().splitlines()
    assert header == "id_a,path_a,id_b,path_b,level,similarity"
    assert row.startswith("c.png,")
    assert called("leaks", run, other, "--csv", table) == 1
    assert "exists; overwrite it with --force" in capsys.readouterr().err
    assert called("leaks", run, other, "--fail") == 1
    assert "1 pair of images is in both" in capsys.readouterr().err
    assert called("leaks", run, other, "--fail", "--level", "exact") == 0
    capsys.readouterr()
    assert called("leaks", run, other, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"images_a", "images_b", "notes", "pairs"}
    assert found["pairs"][0].keys() == {"id_a", "path_a", "id_b", "path_b", "level", "similarity"}


def test_leaks_of_no_run(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("leaks", run, tmp_path / "nothing") == 1
    assert "is not a run folder" in capsys.readouterr().err


def test_through_a_run_of_a_network(config_file: Path, command: Command) -> None:
    """Digests come from the store, and the run is left as it was."""
    folder = config_file.parent
    assert command("run", config_file, "--quiet").returncode == 0
    run = next(path.parent for path in folder.rglob("run.json"))
    before = snapshot(run)
    done = command("duplicates", run, "--level", "scene", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    digests = {copy["digest"] for group in json.loads(done.stdout)["groups"] for copy in group["images"]}
    assert all(len(digest) == 32 for digest in digests)
    assert snapshot(run) == before
    assert command("leaks", run, run, "--fail", "--quiet").returncode == 1
