"""Files that are whole or not there, and what killed processes leave beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgcluster.utils import parse_json
from imgcluster.utils.files import write_whole


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_what_a_killed_process_was_about_to_write_goes(tmp_path: Path) -> None:
    left = tmp_path / f"a [1].svg.{dead_process()}.tmp"
    living = tmp_path / f"a [1].svg.{os.getppid()}.tmp"
    others = [tmp_path / f"b.svg.{dead_process()}.tmp", tmp_path / "a [1].svg.notes.tmp", tmp_path / "a [1].svg.1x.tmp"]
    for path in (left, living, *others):
        path.write_bytes(b"half")
    write_whole(tmp_path / "a [1].svg", b"whole")
    assert (tmp_path / "a [1].svg").read_bytes() == b"whole"
    assert not left.exists()
    assert all(path.exists() for path in (living, *others))


@pytest.mark.parametrize("folder", ["missing", "a file"])
def test_an_error_names_what_was_to_be_written(tmp_path: Path, folder: str) -> None:
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(OSError, match="directory") as raised:
        write_whole(tmp_path / folder / "a.csv", b"whole")
    assert raised.value.filename == str(tmp_path / folder / "a.csv")


def test_the_number_of_no_process_is_left_alone(tmp_path: Path) -> None:
    strange = tmp_path / f"a.{10**30}.tmp"
    strange.write_bytes(b"")
    write_whole(tmp_path / "a", b"whole")
    assert strange.exists()


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff", b"\0", "nothing", b"1 2"])
def test_damaged_json_raises_one_error(data: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"nested|Expecting|Extra data|decode"):
        parse_json(data)


def test_json_is_parsed() -> None:
    assert parse_json(b'{"a": [1, null]}') == parse_json('{"a": [1, null]}') == {"a": [1, None]}
