"""Every command and every line of code in README.md, run as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import imgcluster
from tests import ROOT
from tests.support.warm import Nursery, Program, Running

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


COMMANDS = [line for block in blocks("sh")[1:] for line in block.splitlines()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """The parts of the repository that the README's commands use, with nothing that an earlier run left."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "data").mkdir()
    (folder / "data" / "stage").symlink_to(ROOT / "data" / "stage")
    (folder / "data" / "aicrowd").symlink_to(ROOT / "data" / "stage")  # where the reader unpacked the download
    _, run = blocks("sh")[0].splitlines()[0].split(" && ")
    done = call(nursery, folder, run)  # of the first block; what follows goes on from its outputs
    assert done.returncode == 0, done.stderr
    return folder


def call(nursery: Nursery, folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    program, option, module, *arguments = shlex.split(line)
    assert (program, option) == ("python", "-m")
    running = Running(Program(module, tuple(arguments), folder), nursery)
    out, err = running.communicate()
    return subprocess.CompletedProcess(line, running.wait(), out, err)


def test_the_first_block_is_the_two_commands_that_ci_types() -> None:
    assert blocks("sh")[0].splitlines() == [
        "pip install -e . && python -m imgcluster run configs/stage.yaml",
        "pip install -e '.[test]' && python -m pytest",
    ]


# Each goes on from what those before it have written, so all but the first, which writes nothing, are slow.
@pytest.mark.parametrize("line", [COMMANDS[0], *(pytest.param(line, marks=pytest.mark.slow) for line in COMMANDS[1:])])
def test_command(clone: Path, nursery: Nursery, line: str) -> None:
    result = call(nursery, clone, line)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0, "(160, 3136)"),
        (1, "(40, 1000)\ntorch.Size([1, 256, 56, 56])\n"),
        (2, "confidence"),
        (3, "probability"),
        (4, "macro_f1"),
        (5, "160\n"),
        (6, "torch.Size([1, 3, 64, 64])\n"),
    ],
)
def test_python(
    clone: Path, number: int, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone)
    exec(blocks("python")[number], {})  # noqa: S102
    assert printed in capsys.readouterr().out


def test_every_block_of_python_is_run() -> None:
    assert len(blocks("python")) == 7


def test_the_config_by_example_is_one(tmp_path: Path) -> None:
    example, elsewhere = blocks("yaml")
    (tmp_path / "example.yaml").write_text(example)
    config = imgcluster.load_config(tmp_path / "example.yaml")
    assert config.clusters.transform == ("l2", {"pca": 64})
    (tmp_path / "elsewhere.yaml").write_text(f"{elsewhere}clusters: {{n_clusters: 5}}\n")
    config = imgcluster.load_config(tmp_path / "elsewhere.yaml")
    assert config.outputs.folder == "s3://bucket/runs/one"


def test_the_table_of_commands_is_complete() -> None:
    from imgcluster.cli.main import build_parser

    listed = set(re.findall(r"^\| `imgcluster ([\w-]+)", README, flags=re.M))
    actions = [action for action in build_parser()._actions if action.choices]
    assert listed == set(actions[0].choices or ())


def test_the_kaggle_client_is_installed_with_what_it_needs() -> None:
    """Alone it cannot start: findings/kaggle-needs-six.sh shows it."""
    lines = re.findall(r"pip install (.*\bkaggle\b.*)", (ROOT / "data" / "README.md").read_text(encoding="utf-8"))
    assert [line.split("#")[0].split() for line in lines] == [["kaggle", "six"]]
    assert (ROOT / "findings" / "kaggle-needs-six.sh").is_file()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_public_names_are_there() -> None:
    for name in imgcluster.__all__:
        assert getattr(imgcluster, name).__doc__, name
