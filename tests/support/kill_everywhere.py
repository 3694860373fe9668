"""Export and undo folders, killed before every step that touches a file: `python -m tests.support.kill_everywhere`.

The arguments are the folder to work in, the action, and what kind of disk to feign: `plain`, `no-links` refuses hard
links, `two-disks` refuses them between the images and DIR. Prints how many kills there were, or what differs.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgcluster.runs.folder_export.export import export_folders, undo_export
from tests.support.folder_runs import make_run, snapshot

TOUCHING = ("open", "os.link", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink")


def main(root: Path, action: str, disk: str) -> None:
    _feign(disk, root)
    images = {
        "a.jpg": ("0", b"a" * 5000),
        "deep/a.jpg": ("0", b"another"),
        "b.jpg": ("1", b"b"),
        "broken.jpg": ("failed", b"not empty"),
    }
    run = make_run(root, images, links={"link.jpg": ("1", "deep/a.jpg")})
    before = snapshot(root)
    print(_kill_exports(root, run, action, before), _kill_undos(root, run, action, before))


def _kill_exports(root: Path, run: Path, action: str, before: object) -> int:
    out = root / "out"
    for step in range(1000):
        finished = killed_at(step, root, lambda: export_folders(run, out, action))
        again = step % 2 == 0 and not finished
        if again:  # every other time the same command goes on first
            export_folders(run, out, action)
            _check_exported(out, action)
        if out.exists():
            undo_export(out, run)
        if out.exists():
            assert not [*out.iterdir()], f"killed before step {step}, DIR holds {[*out.iterdir()]}"
            out.rmdir()
        assert snapshot(root) == before, f"killed before step {step}: {snapshot(root)}"
        if finished:
            return step
    raise AssertionError("it never ends")


def _kill_undos(root: Path, run: Path, action: str, before: object) -> int:
    out = root / "out"
    for step in range(1000):
        export_folders(run, out, action)
        finished = killed_at(step, root, lambda: undo_export(out, run))
        if out.exists() and [*out.iterdir()]:
            undo_export(out, run)
        shutil.rmtree(out, ignore_errors=True)
        assert snapshot(root) == before, f"undo killed before step {step}: {snapshot(root)}"
        if finished:
            return step
    raise AssertionError("it never ends")


def _check_exported(out: Path, action: str) -> None:
    names = {str(path.relative_to(out)) for path in out.glob("[!.]*/*")}
    wanted = {"00/a.jpg", "00/deep-a.jpg", "01/b.jpg", "01/link.jpg", "failed/broken.jpg"}
    assert names == wanted, names
    assert (out / "00" / "a.jpg").read_bytes() == b"a" * 5000
    assert (out / "01" / "link.jpg").read_bytes() == b"another"
    assert (action == "move") != any(path.is_file() for path in (out.parent / "images").rglob("*"))


def killed_at(step: int, root: Path, work: Callable[[], object]) -> bool:
    """Do the work in a process that ends, as by a power cut, before it touches a file for the step-th time."""
    child = os.fork()
    if child == 0:
        left = [step]

        def look(event: str, arguments: tuple[Any, ...]) -> None:
            if event in TOUCHING and str(root) in str(arguments):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def _feign(disk: str, root: Path) -> None:
    link = os.link
    out = str(root / "out")

    def refuse(source: Any, target: Any, **options: Any) -> None:
        if disk == "no-links":
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))
        if str(source).startswith(out) != str(target).startswith(out):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
        link(source, target, **options)

    if disk != "plain":
        setattr(os, "link", refuse)  # noqa: B010 (what is feigned has not all the options)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
