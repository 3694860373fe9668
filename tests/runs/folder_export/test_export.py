"""A folder for each cluster: nothing is lost, overwritten or led astray, whatever the names and whenever killed."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

import imgcluster
from imgcluster import export_folders, undo_export
from imgcluster.cli.main import main
from imgcluster.config.loader import config_from_dict
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.folder_export import apply as folder_steps
from imgcluster.runs.folder_export import export as cluster_folders
from imgcluster.runs.folder_export.journal import JOURNAL, read_journal
from imgcluster.runs.folder_export.plan import folder_names, safe_name
from tests import ROOT
from tests.conftest import Command, write_pictures
from tests.support.folder_runs import MTIME, make_run, snapshot, write_run

ACTIONS = ("copy", "link", "move")
IMAGES: dict[str, tuple[str, bytes | None]] = {
    "a.jpg": ("0", b"first"),
    "b.jpg": ("1", b"second"),
    "deep/a.jpg": ("0", b"third"),
    "lost.jpg": ("-1", b"noise"),
    "broken.jpg": ("failed", b"no picture"),
}
PLACES = {"00/a.jpg", "00/deep-a.jpg", "01/b.jpg", "noise/lost.jpg", "failed/broken.jpg"}
# Names that a page, a shell, a CSV or a terminal would take for something else.
EVIL = (
    "<img src=x onerror=alert(1)>.jpg",
    "quotes \" ' ` $(id).jpg",
    "two\nlines.jpg",
    "return\r\nand tab\t.jpg",
    "right\u202eto left\u2067gpj.jpg",
    "\u05d0\u05d1\u05d2 \u0645\u0644\u0641.jpg",
    "-rf.jpg",
    "back\\slash.jpg",
    "comma, semicolon; and | pipe.jpg",
    "x" * 200 + ".jpg",
    "\u00e4" * 125 + ".jpg",
    "..two dots.jpg",
)


def placed(out: Path) -> set[str]:
    """What an export shows: the files below the folders, without the journal."""
    return {str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir() and path.parent != out}


@pytest.mark.parametrize("action", ACTIONS)
def test_there_and_back(tmp_path: Path, action: str) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    found = export_folders(run, out, action)
    assert placed(out) == PLACES
    assert found.counts == {"00": 2, "01": 1, "failed": 1, "noise": 1}
    assert (found.placed, found.missing, found.refused) == (5, [], {})
    assert (out / "00" / "a.jpg").read_bytes() == b"first"
    assert (out / "00" / "deep-a.jpg").read_bytes() == b"third"
    assert (out / "00" / "a.jpg").stat().st_mtime_ns == MTIME
    assert (out / "00" / "a.jpg").is_symlink() == (action == "link")
    assert (tmp_path / "images" / "a.jpg").exists() == (action != "move")
    undone = undo_export(out, run)
    assert (undone.back, undone.left, undone.stuck) == (5, {}, {})
    assert snapshot(tmp_path) == before


def test_links_lead_to_the_absolute_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path, {"a.jpg": ("0", b"first")})
    monkeypatch.chdir(tmp_path)
    write_run(Path("run"), Path("images"), {"a.jpg": "0"})
    export_folders("run", "out", "link")
    assert (tmp_path / "out" / "00" / "a.jpg").readlink() == tmp_path / "images" / "a.jpg"


def test_permissions_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": ("0", b"first")})
    (tmp_path / "images" / "a.jpg").chmod(0o640)
    export_folders(run, tmp_path / "out", "copy")
    assert (tmp_path / "out" / "00" / "a.jpg").stat().st_mode & 0o777 == 0o640


# Killed.


@pytest.mark.parametrize(
    ("action", "disk"),
    [
        ("move", "plain"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [
                ("copy", "plain"),
                ("copy", "no-links"),
                ("link", "plain"),
                ("move", "no-links"),
                ("move", "two-disks"),
            ]
        ),
    ],
)
def test_killed_before_any_step_all_comes_back(tmp_path: Path, action: str, disk: str) -> None:
    line = [sys.executable, "-m", "tests.support.kill_everywhere", str(tmp_path), action, disk]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    exports, undos = map(int, done.stdout.split())
    assert exports > 20
    assert undos > 12


@pytest.mark.slow
@pytest.mark.parametrize("action", ["copy", "move"])
def test_killed_at_a_random_moment_all_comes_back(tmp_path: Path, action: str) -> None:
    count = 120 if action == "copy" else 600
    images = {f"{number:04d}.jpg": (str(number % 4), bytes([number % 251]) * 20_000) for number in range(count)}
    run = make_run(tmp_path, images)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    seconds, _ = killed(run, out, action, None)
    undo_export(out, run)
    midway = trials = 0
    while trials < 15 or (midway < 3 and trials < 100):  # a busy machine may miss the moments in between
        _, finished = killed(run, out, action, random.uniform(0, seconds))
        moved = sum(1 for _ in out.glob("*/*.jpg")) if out.exists() else 0
        midway += 0 < moved < count and not finished
        trials += 1
        assert not out.exists() or main(["export-folders", str(run), str(out), "--undo", "--quiet"]) == 0
        assert not out.exists() or not [*out.iterdir()]
        shutil.rmtree(out, ignore_errors=True)
        assert snapshot(tmp_path) == before
    assert midway > 0


def killed(run: Path, out: Path, action: str, delay: float | None) -> tuple[float, bool]:
    """Call the command and kill it so long after DIR appears; returns how long it ran from then, and if to its end."""
    line = [sys.executable, "-m", "imgcluster", "export-folders", str(run), str(out), f"--{action}", "--quiet"]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not out.exists() and process.poll() is None:
        time.sleep(0.001)
    started = time.monotonic()
    if delay is not None:
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    code = process.wait()
    assert code in (0, -signal.SIGKILL)
    return time.monotonic() - started, code == 0


def test_the_same_command_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    whole = folder_steps.place

    def first_two(action: str, entry: Any, root: Path) -> None:
        if entry.name == "deep-a.jpg":
            raise KeyboardInterrupt
        whole(action, entry, root)

    monkeypatch.setattr(cluster_folders, "place", first_two)
    with pytest.raises(KeyboardInterrupt):
        export_folders(run, out, "move")
    assert placed(out) == {"00/a.jpg", "01/b.jpg"}
    monkeypatch.undo()
    found = export_folders(run, out, "move")
    assert placed(out) == PLACES
    assert (found.placed, sum(found.counts.values()), found.missing) == (3, 5, [])
    assert export_folders(run, out, "move").placed == 0
    undo_export(out, run)
    assert snapshot(tmp_path) == before


# A full disk, and others that refuse.


class Disk(NamedTuple):
    path: Path


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A disk of half a megabyte."""
    path = tmp_path_factory.mktemp("disk")
    line = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(path)]
    if shutil.which("mount") is None or subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield Disk(path)
    subprocess.run(["umount", path], check=True)


MANY = {f"{number:02d}.jpg": ("0", bytes([number]) * 50_000) for number in range(20)}


@pytest.mark.parametrize("action", ["copy", "move"])
def test_a_disk_that_is_too_small_is_told_before(
    tmp_path: Path, small_disk: Disk, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, MANY)
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=r"has 0\.5 MB free, and the images need 1\.0 MB; nothing was done"):
        export_folders(run, small_disk.path / "out", action)
    assert not [*small_disk.path.iterdir()]
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("action", ["copy", "move"])
def test_a_disk_that_fills_up_leaves_the_originals(
    tmp_path: Path, small_disk: Disk, action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = make_run(tmp_path, MANY), small_disk.path / "out"
    before = snapshot(tmp_path)
    monkeypatch.setattr(cluster_folders, "check_possible", lambda *_: None)  # somebody else fills it meanwhile
    assert main(["export-folders", str(run), str(out), f"--{action}", "--quiet"]) == 1
    message = capsys.readouterr().err
    assert "No space left on device" in message
    assert "of 20 images; every other original is where it was." in message
    assert message.endswith(f"takes back what was done: python -m imgcluster export-folders {run} {out} --undo\n")
    there = {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}
    gone = {path.name: path.read_bytes() for path in (out / "00").iterdir()}
    assert 0 < len(gone) < 20
    assert {**gone, **there} == {name: data for name, (_, data) in MANY.items()}
    assert len(there) == (20 if action == "copy" else 20 - len(gone))
    undo_export(out, run)
    assert snapshot(tmp_path) == before
    assert not [*small_disk.path.iterdir()]


def test_a_move_onto_another_disk_and_back(tmp_path: Path, small_disk: Disk) -> None:
    run, out = make_run(tmp_path, IMAGES), small_disk.path / "out"
    before = snapshot(tmp_path)
    export_folders(run, out, "move")
    assert placed(out) == PLACES
    assert (out / "00" / "a.jpg").stat().st_mtime_ns == MTIME
    assert not [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    undo_export(out, run)
    assert snapshot(tmp_path) == before


def test_no_space_for_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = make_run(tmp_path, IMAGES), tmp_path / "out"
    before = snapshot(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("imgcluster.utils.files.shutil.copyfileobj", full)
    with pytest.raises(OutputError, match=r"No space left on device .*, after 0 of 5 images"):
        export_folders(run, out, "copy")
    assert placed(out) == set()
    undo_export(out, run)
    assert snapshot(tmp_path) == before


def test_a_copy_that_came_out_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = make_run(tmp_path, IMAGES), tmp_path / "out"
    before = snapshot(tmp_path)
    link = os.link

    def two_disks(source: Any, target: Any, **options: Any) -> None:
        if str(out) not in str(source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        link(source, target, **options)

    monkeypatch.setattr(os, "link", two_disks)
    monkeypatch.setattr("imgcluster.utils.files.shutil.copyfileobj", lambda source, copy, size: copy.write(b"x"))
    found = export_folders(run, out, "move")
    assert found.placed == 0
    assert set(found.refused.values()) == {"its copy is not as the original"}
    assert len(found.refused) == 5
    undo_export(out, run)
    assert snapshot(tmp_path) == before


def test_an_image_that_cannot_be_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = make_run(tmp_path, IMAGES), tmp_path / "out"
    whole = folder_steps.place

    def no_b(action: str, entry: Any, root: Path) -> None:
        if entry.name == "b.jpg":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), Path(entry.source))
        whole(action, entry, root)

    monkeypatch.setattr(cluster_folders, "place", no_b)
    assert main(["export-folders", str(run), str(out), "--copy", "--quiet"]) == 1
    assert placed(out) == PLACES - {"01/b.jpg"}
    said = capsys.readouterr()
    assert said.out.startswith(f"copied    4 images into {out}\n  00            2\n  failed        1\n")
    path = str(tmp_path / "images" / "b.jpg")
    assert said.err == f"imgcluster: 1 image stays where it was: {path!r}: Permission denied\n"


def test_a_disk_without_symbolic_links_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, IMAGES)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(OutputError, match=r"symbolic links are refused here \(Operation not permitted\); copy the"):
        export_folders(run, tmp_path / "out", "link")
    assert not (tmp_path / "out").exists()


# Names.


def test_evil_names_there_and_back(tmp_path: Path) -> None:
    images = {f"{number}/{name}": ("0", bytes([number])) for number, name in enumerate(EVIL)}
    run = make_run(tmp_path, {**images, os.fsdecode(b"latin \xe9.jpg"): ("0", b"bytes")})
    before = snapshot(tmp_path)
    for action in ACTIONS:
        export_folders(run, tmp_path / "out", action)
        there = {path.name: path.read_bytes() for path in (tmp_path / "out" / "00").iterdir()}
        wanted = {name: bytes([number]) for number, name in enumerate(EVIL)}
        assert there == {**wanted, os.fsdecode(b"latin \xe9.jpg"): b"bytes"}
        undo_export(tmp_path / "out", run)
        assert snapshot(tmp_path) == before


def test_evil_names_through_a_run(tmp_path: Path, command: Command) -> None:
    seen = [name for name in EVIL if not name.startswith(".")]  # a run passes hidden files over
    write_pictures(tmp_path / "plain", range(len(seen)))
    (tmp_path / "images").mkdir()
    for name, path in zip(seen, sorted((tmp_path / "plain").iterdir()), strict=True):
        path.rename(tmp_path / "images" / name)
    config = {
        "images": {"folder": str(tmp_path / "images")},
        "features": {"backbone": "efficientnet_lite0", "store": str(tmp_path / "store")},
        "clusters": {"n_clusters": 2},
        "outputs": {"folder": str(tmp_path / "run")},
    }
    imgcluster.run(config_from_dict(config), show=False)
    before = snapshot(tmp_path / "images")
    done = command("export-folders", tmp_path / "run", tmp_path / "out", "--move")
    assert done.returncode == 0, done.stderr
    assert {Path(name).name for name in placed(tmp_path / "out")} == set(seen)
    done = command("show", "run", "--typical", "20", COLUMNS="60")
    assert "\u202e" not in done.stdout
    assert "'two\\nlines.jpg'" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60
    done = command("export-folders", tmp_path / "run", tmp_path / "out", "--undo")
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "images") == before
    assert not (tmp_path / "out").exists()


def test_names_that_meet_are_kept_apart(tmp_path: Path) -> None:
    images = {
        "a.jpg": ("0", b"0"),
        "x/a.jpg": ("0", b"1"),
        "y/x/a.jpg": ("0", b"2"),
        "y/A.JPG": ("0", b"3"),
        "caf\u00e9.jpg": ("0", b"4"),
        "z/cafe\u0301.jpg": ("0", b"5"),
        "z/a.jpg": ("1", b"6"),
        "w" * 250 + ".jpg": ("1", b"7"),
        "z/" + "w" * 250 + ".jpg": ("1", b"8"),
        "v/" + "w" * 250 + ".jpg": ("1", b"9"),
    }
    run = make_run(tmp_path, {name: image for name, image in images.items() if len(name) < 250})
    out = tmp_path / "out"
    export_folders(run, out, "copy")
    assert {name: (out / name).read_bytes() for name in placed(out)} == {
        "00/a.jpg": b"0",
        "00/x-a.jpg": b"1",
        "00/x-a-2.jpg": b"2",
        "00/y-A.JPG": b"3",
        "00/caf\u00e9.jpg": b"4",
        "00/z-cafe\u0301.jpg": b"5",
        "01/a.jpg": b"6",
    }
    undo_export(out)
    run = make_run(tmp_path, {name: image for name, image in images.items() if len(name) > 250})
    export_folders(run, out, "copy")
    assert {name: (out / name).read_bytes() for name in placed(out)} == {
        "01/" + "w" * 250 + ".jpg": b"7",
        "01/z-" + "w" * 249 + ".jpg": b"8",
        "01/v-" + "w" * 249 + ".jpg": b"9",
    }


def test_own_names_are_made_safe(tmp_path: Path) -> None:
    names = {"0": "../../etc", "1": "two\nlines \u202e", "2": "n" * 300}
    run = make_run(tmp_path, {f"{number}.jpg": (str(number), b"x") for number in range(3)}, names=names)
    assert [*export_folders(run, tmp_path / "out", "copy").counts] == [
        "00-_.._etc",
        "01-two_lines _",
        "02-" + "n" * 100,
    ]


def test_safe_names() -> None:
    assert safe_name("\u00e4" * 80) == "\u00e4" * 50  # bytes count, and no letter is broken
    assert safe_name("..") == ""
    assert folder_names([0, 7, 123], {0: " . "}) == {0: "000", 7: "007", 123: "123"}
    assert folder_names([-1, 5], {-1: "mine", 5: 'a:"b"'}) == {-1: "noise", 5: "05-a__b_"}


# Nothing is overwritten, nothing leads out.


@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_there_stays(tmp_path: Path, action: str) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    (out / "00").mkdir(parents=True)
    (out / "00" / "A.jpg").write_bytes(b"mine")
    (out / "01").mkdir()
    (out / "notes.txt").write_bytes(b"mine too")
    before = snapshot(tmp_path)
    export_folders(run, out, action)
    assert placed(out) == {"00/A.jpg", "00/images-a.jpg", *PLACES} - {"00/a.jpg"}
    assert (out / "00" / "A.jpg").read_bytes() == b"mine"
    undo_export(out, run)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_that_comes_in_the_meantime_stays(tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    whole = folder_steps.place

    def late(action: str, entry: Any, root: Path) -> None:
        if entry.name == "b.jpg":
            (root / "01").mkdir()
            (root / "01" / "b.jpg").write_bytes(b"mine")
        whole(action, entry, root)

    monkeypatch.setattr(cluster_folders, "place", late)
    export_folders(run, out, action)
    assert (out / "01" / "b.jpg").read_bytes() == b"mine"
    assert (out / "01" / "images-b.jpg").read_bytes() == b"second"
    undone = undo_export(out, run)
    assert (undone.back, undone.left, undone.stuck) == (5, {}, {})
    assert placed(out) == {"01/b.jpg"}
    shutil.rmtree(out)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, action: str) -> None:
    run = make_run(tmp_path, IMAGES)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    for name in ("01", "failed"):
        (out / name).symlink_to(elsewhere)
        before = snapshot(tmp_path)
        with pytest.raises(OutputError, match=rf"out/{name}' is a link, and would lead out"):
            export_folders(run, out, action)
        assert snapshot(tmp_path) == before
        (out / name).unlink()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_link_that_comes_in_the_meantime_is_not_followed(
    tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    whole = folder_steps.place

    def late(action: str, entry: Any, root: Path) -> None:
        if entry.name == "b.jpg":
            (root / "01").symlink_to(elsewhere)
        whole(action, entry, root)

    monkeypatch.setattr(cluster_folders, "place", late)
    with pytest.raises(OutputError, match="out/01' is a link"):
        export_folders(run, out, action)
    assert not [*elsewhere.iterdir()]
    (out / "01").unlink()
    undo_export(out, run)
    elsewhere.rmdir()
    assert snapshot(tmp_path) == before


def test_undo_follows_no_link_either(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    export_folders(run, out, "copy")
    (out / "00").rename(elsewhere)
    (out / "00").symlink_to(elsewhere)
    undone = undo_export(out, run)
    assert set(undone.stuck) == {"00/a.jpg", "00/deep-a.jpg"}
    assert {path.name for path in elsewhere.iterdir()} == {"a.jpg", "deep-a.jpg"}


def test_a_planted_lock_or_part_leads_nowhere(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.write_bytes(b"precious")
    (out / ".imgcluster-part").symlink_to(victim)
    export_folders(run, out, "copy")
    assert placed(out) == PLACES
    undo_export(out)
    assert victim.read_bytes() == b"precious"
    (out / ".imgcluster-lock").symlink_to(victim)
    with pytest.raises(OutputError, match="lock' is a link that imgcluster did not make"):
        export_folders(run, out, "copy")
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("place", ["images", "images/out", "images/deep", "linked/out"])
def test_a_folder_inside_of_the_images_is_refused(tmp_path: Path, place: str) -> None:
    run = make_run(tmp_path, IMAGES)
    (tmp_path / "linked").symlink_to(tmp_path / "images")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=r"is inside of images.folder, .* as new images; choose a folder outside it"):
        export_folders(run, tmp_path / place, "copy")
    assert snapshot(tmp_path) == before


def test_a_folder_of_images_called_like_a_cluster_is_refused(tmp_path: Path) -> None:
    images = tmp_path / "00"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"x")
    write_run(tmp_path / "run", images, {"a.jpg": "0"})
    with pytest.raises(OutputError, match=r"00' holds images.folder; choose another one"):
        export_folders(tmp_path / "run", tmp_path, "copy")


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(OutputError, match=r"out' is not a folder; choose another one"):
        export_folders(run, tmp_path / "out", "copy")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "01").write_bytes(b"a file")
    with pytest.raises(OutputError, match=r"other/01' is in the way"):
        export_folders(run, tmp_path / "other", "copy")


# Undo, when things have changed.


def test_a_file_that_has_taken_an_originals_place_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    out, place = tmp_path / "out", tmp_path / "images" / "b.jpg"
    export_folders(run, out, "move")
    place.write_bytes(b"new")
    for _ in range(2):
        assert main(["export-folders", str(run), str(out), "--undo", "--quiet"]) == 1
        message = capsys.readouterr().err
        assert f"1 image stays in {str(out)!r}; fix this and repeat --undo" in message
        assert f"01/b.jpg: there is another file at {str(place)!r} by now" in message
        assert place.read_bytes() == b"new"
        assert (out / "01" / "b.jpg").read_bytes() == b"second"
        journal = read_journal(out)
        assert journal is not None
        assert [*journal.entries] == [str(place)]
    place.unlink()
    assert main(["export-folders", str(run), str(out), "--undo", "--quiet"]) == 0
    assert snapshot(tmp_path) == before


def test_a_moved_image_that_was_changed_comes_back_and_its_folder_too(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    export_folders(run, out, "move")
    (out / "00" / "deep-a.jpg").write_bytes(b"edited")
    (tmp_path / "images" / "deep").rmdir()
    undo_export(out, run)
    assert (tmp_path / "images" / "deep" / "a.jpg").read_bytes() == b"edited"
    assert not out.exists()


def test_moved_images_that_were_sorted_by_hand_come_back(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    export_folders(run, out, "move")
    (out / "01" / "b.jpg").rename(out / "00" / "b, no a.jpg")
    (out / "mine" / "deep").mkdir(parents=True)
    (out / "00" / "a.jpg").rename(out / "mine" / "deep" / "a.jpg")
    (out / "noise" / "lost.jpg").rename(out / "lost.jpg")
    undone = undo_export(out, run)
    assert (undone.back, undone.stuck) == (5, {})
    shutil.rmtree(out)  # with the folder `mine`
    assert snapshot(tmp_path) == before


def test_a_moved_image_that_is_nowhere_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    export_folders(run, out, "move")
    (out / "01" / "b.jpg").unlink()
    (out / "00" / "b.jpg").write_bytes(b"second")  # as large, of the same name, and another
    undone = undo_export(out, run)
    assert undone.back == 4
    assert undone.stuck == {"01/b.jpg": f"it is neither there nor at {str(tmp_path / 'images' / 'b.jpg')!r}"}
    assert (out / "00" / "b.jpg").read_bytes() == b"second"
    assert (out / JOURNAL).exists()


def test_copies_that_are_the_users_own_by_now_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    export_folders(run, out, "copy")
    (out / "00" / "a.jpg").write_bytes(b"FIRST")  # of the same size
    (tmp_path / "images" / "b.jpg").unlink()
    (out / "00" / "deep-a.jpg").touch()  # another time, the same bytes: no change
    (out / "mine.txt").write_bytes(b"mine")
    assert main(["export-folders", str(run), str(out), "--undo", "--quiet"]) == 0
    assert placed(out) == {"00/a.jpg", "01/b.jpg"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "removed   3 copies; the originals are untouched"
    assert "left      00/a.jpg: it has changed since" in said
    assert f"left      01/b.jpg: its original {str(tmp_path / 'images' / 'b.jpg')!r} is gone" in said
    assert {path.name for path in out.iterdir()} == {"00", "01", "mine.txt"}


def test_a_link_that_leads_elsewhere_stays(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    export_folders(run, out, "link")
    (out / "01" / "b.jpg").unlink()
    (out / "01" / "b.jpg").symlink_to(tmp_path)
    assert undo_export(out, run).left == {"01/b.jpg": "it is not the link that was made"}
    assert (out / "01" / "b.jpg").is_symlink()


def test_an_images_that_is_a_link(tmp_path: Path) -> None:
    """Copied, it is what it shows; moved, it stays a link that leads where it led, also where that has moved along."""
    (tmp_path / "other.jpg").write_bytes(b"outside")
    links = {"out.jpg": ("0", "../other.jpg"), "in.jpg": ("0", "b.jpg")}
    run = make_run(tmp_path, IMAGES, links=links)
    before = snapshot(tmp_path)
    out = tmp_path / "out"
    for action in ACTIONS:
        export_folders(run, out, action)
        assert (out / "00" / "out.jpg").read_bytes() == b"outside"
        assert (out / "00" / "in.jpg").read_bytes() == b"second"
        assert (out / "00" / "out.jpg").is_symlink() == (action != "copy")
        undo_export(out, run)
        assert snapshot(tmp_path) == before


def test_undo_without_an_export_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match="is not a folder: nothing was exported there"):
        undo_export(tmp_path / "nowhere", run)
    with pytest.raises(OutputError, match=r"holds no export of folders \(no .imgcluster-journal.jsonl\)"):
        undo_export(tmp_path / "images", run)
    assert snapshot(tmp_path) == before


def test_undo_needs_no_run_but_no_other_ones(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    before = snapshot(tmp_path / "images")
    export_folders(run, tmp_path / "out", "move")
    with pytest.raises(OutputError, match=r"out' holds the export of '.*/run', not of '.*/elsewhere'"):
        undo_export(tmp_path / "out", tmp_path / "elsewhere")
    shutil.rmtree(run)
    undo_export(tmp_path / "out", run)
    assert snapshot(tmp_path / "images") == before


# Two exports, another run, journals of others.


def test_another_export_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    export_folders(run, out, "copy")
    with pytest.raises(OutputError, match=r"holds an export made by action 'copy'; take it back with imgcluster.undo"):
        export_folders(run, out, "move")
    shutil.copytree(run, tmp_path / "twin")
    with pytest.raises(OutputError, match=r"holds an export of '.*/run'; take it back"):
        export_folders(tmp_path / "twin", out, "copy")
    write_run(run, tmp_path / "images", {"a.jpg": "1"})
    with pytest.raises(OutputError, match="holds an export of clusters that the run does not have any more"):
        export_folders(run, out, "copy")
    assert placed(out) == PLACES


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, IMAGES)
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".imgcluster-lock"):
        with pytest.raises(OutputError, match="is being written by another export"):
            export_folders(run, out, "copy")
        with pytest.raises(OutputError, match="is being written by another export"):
            undo_export(out, run)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"folder": "..", "name": "victim"}, "is not a journal that imgcluster wrote, or damaged; nothing was touched"),
        ({"folder": "00", "name": "../../victim"}, "is not a journal"),
        ({"folder": "00", "name": "a.jpg", "source": "relative"}, "is not a journal"),
        ({"folder": "00"}, "is not a journal"),
        ({"version": 2}, "is of version 2; take the imgcluster that wrote it"),
        ({"action": "burn"}, "is not a journal"),
        ({"format": "another"}, "is not a journal"),
    ],
)
def test_a_journal_that_is_not_ours_is_refused(tmp_path: Path, line: dict[str, Any], message: str) -> None:
    run = make_run(tmp_path, {"a.jpg": ("0", b"x")})
    out = tmp_path / "out"
    export_folders(run, out, "copy")
    (tmp_path / "victim").write_bytes(b"x")
    os.utime(tmp_path / "victim", ns=(MTIME, MTIME))
    header, entry = map(json.loads, (out / JOURNAL).read_text().splitlines())
    if line.keys() <= header.keys():
        header |= line
    else:
        entry = {**entry, **line} if len(line) > 1 else line
    (out / JOURNAL).write_text(f"{json.dumps(header)}\n{json.dumps(entry)}\n")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=message):
        undo_export(out)
    with pytest.raises(OutputError, match=message):
        export_folders(run, out, "copy")
    assert snapshot(tmp_path) == before


# Images that are not there, runs that are none, and the command line.


def test_images_that_are_gone_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, {**IMAGES, "gone\n.jpg": ("1", None), "y" * 300 + ".jpg": ("failed", None)})
    assert main(["export-folders", str(run), str(tmp_path / "out"), "--copy", "--quiet"]) == 0
    assert placed(tmp_path / "out") == PLACES
    said = capsys.readouterr().out
    assert "skipped   2 images that are not where the run found them: 'gone\\n.jpg', yyyy" in said


def test_none_of_the_images_there(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": ("0", None)})
    with pytest.raises(
        OutputError,
        match=r"the image is not there; looked in .*; say where: imgcluster.images_are_in\(RUN, FOLDER\), or, after",
    ):
        export_folders(run, tmp_path / "out", "copy")
    assert not (tmp_path / "out").exists()


def test_an_image_listed_twice_goes_once(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": ("0", b"x"), "./a.jpg": ("0", b"x")})
    assert export_folders(run, tmp_path / "out", "move").counts == {"00": 1}
    assert placed(tmp_path / "out") == {"00/a.jpg"}


def test_an_unknown_action_or_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no action 'burn'; there are copy, link, move"):
        export_folders(tmp_path, tmp_path / "out", "burn")
    with pytest.raises(OutputError, match="is not a run folder"):
        export_folders(tmp_path, tmp_path / "out", "copy")
    run = make_run(tmp_path, IMAGES)
    (run / "clusters.csv").write_text("id,path\na,b\n")
    with pytest.raises(OutputError, match=r"clusters.csv' is damaged; run the config again with force=True"):
        export_folders(run, tmp_path / "out", "copy")


def test_the_command(tmp_path: Path, command: Command) -> None:
    run = make_run(tmp_path, IMAGES)
    assert command("export-folders", run, "out").returncode == 2
    assert command("export-folders", run, "out", "--copy", "--move").returncode == 2
    done = command("export-folders", run, "my out", "--move", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "moved     5 images into my out",
        "  00            2",
        "  01            1",
        "  failed        1",
        "  noise         1",
        "note: the images are no longer where run, report, score and export look for them",
        f"undo      python -m imgcluster export-folders {run} 'my out' --undo",
    ]
    done = command("export-folders", run, "my out", "--move", "--quiet")
    assert done.stdout.splitlines()[:2] == [
        "moved     0 images into my out",
        "there     5 more from an earlier call",
    ]
    done = command("export-folders", run, "my out", "--undo", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "moved     5 images back\n", "")
