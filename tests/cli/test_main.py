"""The program as a user meets it: exit codes, errors as one line, streams, and what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcluster.cli.main import main
from tests import ROOT
from tests.conftest import Command
from tests.support.piped import piped

HEAVY = {"torch", "torchvision", "sklearn", "pandas", "cv2", "numpy"}


def imported_by(*arguments: str) -> set[str]:
    script = (
        "import sys\nfrom imgcluster.cli.main import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "print('MODULES', *sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(result.stderr.rpartition("MODULES")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["run", "no-such-file.yaml"],
        ["run", "configs/stage.yaml", "--set", "features.layr=fc7"],
        ["check", "configs/stage.yaml", "--set", "clusters.n_clusters=none"],
        ["schema"],
    ],
)
def test_help_and_config_errors_import_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) & HEAVY == set()


def test_errors_are_one_line_with_exit_1(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("run", config_file, "--set", "features.layr=fc7")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "features.layr (--set): unknown key; did you mean 'layer'?" in result.stderr
    assert not (tmp_path / "store").exists()
    assert "Traceback" in command("run", config_file, "--set", "features.layr=fc7", "--debug").stderr


def test_a_wrong_command_line_exits_with_2(command: Command) -> None:
    for arguments in ([], ["rnu", "x.yaml"], ["run"], ["run", "x.yaml", "--frce"]):
        result = command(*arguments)
        assert result.returncode == 2, arguments
        assert "usage: imgcluster" in result.stderr


def test_the_console_script_is_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("imgcluster")
    if not script.exists():
        pytest.skip("imgcluster is not installed beside this Python")
    result = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("imgcluster 0.")


def test_what_the_system_refuses_is_one_line(tmp_path: Path, config_file: Path, command: Command) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    result = command("run", config_file, "--quiet")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "features.store" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_a_full_disk_does_not_take_is_told() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "imgcluster", "models", "vgg16_bn"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    assert (done.returncode, done.stderr) == (1, "imgcluster: No space left on device\n")


def test_output_cut_off_by_a_reader_is_no_error() -> None:
    with piped("-u", "-m", "imgcluster", "schema") as (process, out, error):
        out.close()  # as `| head` does, early
        assert error.read() == ""
        assert process.wait() == 0


def raises(error: Exception) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "out of memory (Unable to allocate 9 GiB)"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "out of memory (Default"),
        (ImportError("libGL.so.1: cannot open shared object file\nmore"), "a package cannot be loaded: libGL.so.1: "),
    ],
)
def test_what_a_machine_lacks_is_a_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imgcluster.cli.machine.examine", raises(error))
    assert main(["doctor"]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"imgcluster: {line}")


def test_a_mistake_of_ours_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends in a traceback, which whoever mends it needs."""
    monkeypatch.setattr("imgcluster.cli.machine.examine", raises(ValueError("oh")))
    with pytest.raises(ValueError, match="oh"):
        main(["doctor"])
