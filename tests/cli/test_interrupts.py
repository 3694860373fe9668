"""Ctrl-C: how fast the program ends, and what it says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgcluster.cli import main as program
from imgcluster.cli.interrupts import LastWords
from tests import ROOT
from tests.conftest import Command, Start
from tests.support.piped import piped
from tests.support.slow_run import slow_config, wait_for_shards


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(tmp_path: Path, command: Command, start: Start) -> None:
    config = slow_config(tmp_path)
    process = start("run", config)
    wait_for_shards(process, tmp_path / "store", 1)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - sent < 10  # two seconds are promised; the rest is for a machine that does more than this
    assert process.returncode == 130
    assert "Interrupted. What was computed is kept: run the same command again" in error
    assert "Traceback" not in error
    result = command("run", config)
    assert result.returncode == 0
    assert ", 0 from the store" not in result.stdout.splitlines()[0]


PROGRAM = """
import hashlib, signal, sys, time
from imgcluster.cli import interrupts

interrupts.SECONDS_TO_UNWIND = {seconds}
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in what it starts in the background
words = interrupts.LastWords("last words")
interrupts.watch_interrupts(words)
try:
    print("ready", flush=True)
    {call}
except KeyboardInterrupt:
    words.say()
    print("raised", flush=True)
    {unwinding}
"""
LIBRARY = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # one call of many minutes, as those of LAPACK
PYTHON = "time.sleep(600)"


def interrupted(call: str, unwinding: str, seconds: float = 0.2, times: int = 1) -> tuple[int, str, str]:
    """Send SIGINT to a program in a call; returns its exit code and what it printed, once it has ended."""
    code = PROGRAM.format(call=call, unwinding=unwinding, seconds=seconds)
    with piped("-c", code) as (process, out, error):
        assert out.readline() == "ready\n"
        time.sleep(0.3)  # until the call has begun
        process.send_signal(signal.SIGINT)
        assert error.read(len("last words")) == "last words"
        for _ in range(1, times):
            process.send_signal(signal.SIGINT)
        told, failed = process.communicate(timeout=60)
    return process.returncode, told, failed


IMPORTED = """
import os, signal, sys
from imgcluster.__main__ import entry

class Interrupting:
    def find_spec(name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting)
entry()
"""


@pytest.mark.parametrize("module", ["imgcluster.cli.main", "argparse", "imgcluster.cli.commands"])
def test_the_imports_are_left_without_a_traceback(module: str) -> None:
    code = IMPORTED.format(module=module)
    ended = subprocess.run(
        [sys.executable, "-c", code, "schema"], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_an_error_that_a_library_makes_of_an_interrupt_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(options: object) -> None:
        words[0].due = True  # as the handler does
        raise RuntimeError("KeyboardInterrupt")

    words: list[LastWords] = []
    monkeypatch.setattr(program, "LastWords", lambda text: words.append(LastWords(text)) or words[0])
    monkeypatch.setattr(program, "_call", call)
    assert program.main(["schema"]) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_python_code_is_left_by_an_exception() -> None:
    assert interrupted(PYTHON, "sys.exit(3)", seconds=600) == (3, "raised\n", "")


def test_a_long_call_into_a_library_does_not_keep_the_program() -> None:
    assert interrupted(LIBRARY, "pass") == (130, "", "")


def test_unwinding_may_not_take_long() -> None:
    assert interrupted(PYTHON, PYTHON) == (130, "raised\n", "")


@pytest.mark.parametrize("call", [PYTHON, LIBRARY])
def test_a_second_interrupt_ends_the_program(call: str) -> None:
    assert interrupted(call, LIBRARY, seconds=600, times=2)[0] == 130


def test_the_words_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = LastWords("last words")
    words.say()
    words.say()
    assert capsys.readouterr().err == "last words"
