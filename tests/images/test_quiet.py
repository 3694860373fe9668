"""Lines of C libraries on stderr."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgcluster.images.containers.raw import OF_LIBRAW
from imgcluster.images.quiet import without_lines

NOISE = re.compile(rb"noise.*\n")


def test_unwanted_lines_are_dropped_and_others_stay(capfd: pytest.CaptureFixture[str]) -> None:
    with without_lines(NOISE):
        os.write(2, b"ours\nnoise of a library\nours too\n")
        assert capfd.readouterr().err == ""
    os.write(2, b"noise that is ours\n")
    assert capfd.readouterr().err == "ours\nours too\nnoise that is ours\n"


def test_threads_share_it(capfd: pytest.CaptureFixture[str]) -> None:
    def work(number: int) -> None:
        with without_lines(NOISE):
            os.write(2, b"noise\n")
            os.write(2, b"line %d\n" % number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(40)))
    assert sorted(capfd.readouterr().err.split("\n")) == sorted(["", *(f"line {number}" for number in range(40))])


def test_an_error_within_restores_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    @without_lines(NOISE)
    def fail() -> None:
        os.write(2, b"noise\n")
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize("line", [b"unknown file: Unexpected end of file\n", b"a b.dng: data corrupted at 4711\n"])
def test_the_lines_of_libraw_are_known(line: bytes) -> None:
    assert OF_LIBRAW.sub(b"", b"ours: 1\n" + line + b"ours: 2\n") == b"ours: 1\nours: 2\n"
