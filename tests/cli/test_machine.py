"""`imgcluster doctor`: each thing that can be wrong with a machine, and the fix that is suggested."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from imgcluster.cli import machine
from imgcluster.cli.format.machine import findings_text
from imgcluster.cli.machine import ADVICE, GOOD, PROBLEM, Finding, examine
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.utils import system as packages
from tests.conftest import Command


def found(name: str) -> Finding:
    """The finding of that name."""
    (one,) = (each for each in examine() if each.name == name)
    return one


def test_the_command_looks_at_everything_and_finds_this_machine_fit(command: Command) -> None:
    done = command("doctor")
    assert done.returncode == 0, done.stdout
    for section in ("packages", "devices", "runtimes", "weights", "places"):
        assert section in done.stdout.splitlines()
    assert f"torch                             {packages.installed('torch')}" in done.stdout
    assert "efficientnet_lite0" in done.stdout
    assert done.stdout.splitlines()[-1] == "no problem found"
    listed = json.loads(command("doctor", "--json").stdout)
    assert {each["state"] for each in listed} <= {GOOD, ADVICE}
    assert [each["name"] for each in listed] == [each.name for each in examine()]


def test_a_problem_is_an_exit_code(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = command("doctor", IMGCLUSTER_CACHE=str(tmp_path / "file" / "cache"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "problems, marked with !: 1"
    assert done.stderr == "imgcluster: this machine has problems; fixes are suggested above\n"
    (line,) = (each for each in done.stdout.splitlines() if each.startswith(" ! "))
    assert line.endswith("file/cache: not writable")
    following = done.stdout.splitlines()[done.stdout.splitlines().index(line) + 1]
    assert following.strip() == "-> set IMGCLUSTER_CACHE to a folder that you can write to"


def versions(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    """Have other versions installed than there are."""
    real = packages.installed
    monkeypatch.setattr(machine, "installed", lambda name: found.get(name.replace("-", "_"), real(name)))


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, pandas="0.9", matplotlib=packages.NOT_INSTALLED, opencv_python_headless="4.12.0")
    old, missing, second = map(found, ("pandas", "matplotlib", "opencv-python-headless"))
    assert old.state == missing.state == second.state == PROBLEM
    assert old.value.startswith("0.9, but >=")
    assert old.advice.startswith("pip install 'pandas>=")
    assert missing.advice.startswith("pip install 'matplotlib>=")
    assert "pip uninstall opencv-python-headless opencv-python" in second.advice


def test_a_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file\nand more")

    monkeypatch.setattr(machine, "import_module", broken)
    one = found("opencv-python")
    assert one.state == PROBLEM
    assert one.value.endswith("cannot be imported: libGL.so.1: cannot open shared object file")
    assert "apt-get install libgl1" in one.advice


def test_every_extra_is_asked_for() -> None:
    """Extras by the package's own metadata; those of developers are none of a user's."""
    from importlib.metadata import metadata

    offered = set(metadata("imgcluster").get_all("Provides-Extra") or [])
    assert offered - {"test", "lint"} == set(machine.EXTRAS)


def test_an_extra_that_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, timm=packages.NOT_INSTALLED)
    (one,) = (each for each in examine() if each.value.startswith("not installed: "))
    assert "timm" in one.value
    assert one.state == GOOD
    assert "timm" in one.advice.partition("imgcluster[")[2]


@pytest.mark.parametrize(("cuda", "state", "advice"), [(None, PROBLEM, "pytorch.org"), ("12.8", PROBLEM, "nvidia-smi")])
def test_a_gpu_that_torch_cannot_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda: str | None, state: str, advice: str
) -> None:
    if torch.cuda.is_available():
        pytest.skip("torch uses the GPU of this machine")
    (tmp_path / "version").touch()
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert found("gpu").state == state
    assert advice in found("gpu").advice


def test_threads_that_are_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "all")
    assert found("OMP_NUM_THREADS").state == PROBLEM
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS" not in [each.name for each in examine()]


@pytest.mark.parametrize("missing", ["openvino"])
def test_a_runtime_that_is_not_there(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(machine, "is_installed", lambda: False)
    states = [each.state for each in examine() if each.name == missing]
    assert states == ([GOOD] if torch.cuda.is_available() else [GOOD, ADVICE])


def sparse(path: Path, megabytes: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(int(megabytes * 2**20))


def test_weights_that_are_here_and_that_broke_off() -> None:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    vgg = BACKBONES["vgg16"]
    assert found("vgg16").state == ADVICE
    assert str(folder / vgg.file) in found("vgg16").advice
    assert vgg.megabytes is not None
    sparse(folder / vgg.file, vgg.megabytes)
    assert "vgg16" in found("available").value
    assert "vgg16" not in [each.name for each in examine()]
    sparse(folder / BACKBONES["alexnet"].file, 3)
    assert found("alexnet").state == PROBLEM
    assert "remove it" in found("alexnet").advice


def test_a_mirror_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://me:secret@127.0.0.1:9/weights")
    assert "127.0.0.1:9/weights" in found("mirror").value
    assert "secret" not in findings_text(examine())


@pytest.mark.parametrize(
    ("free", "state"), [(lambda: 1, ADVICE), (lambda: None, GOOD), (lambda: 8 * machine.GIB, GOOD)]
)
def test_memory(monkeypatch: pytest.MonkeyPatch, free: Callable[[], int | None], state: str) -> None:
    monkeypatch.setattr(machine, "free_memory", free)
    assert found("memory").state == state


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage)
    for place in ("cache", "this folder", "temporary"):
        assert found(place).state == ADVICE
        assert "little space left" in found(place).advice


def test_nobodys_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(machine, "cache_folder", nobody)
    assert found("cache").state == PROBLEM


def test_without_torch_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert found("torch").state == PROBLEM
    assert found("memory").state == GOOD
    assert "efficientnet_lite0" in found("available").value


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert found("places").state == PROBLEM
    assert found("torch").state == GOOD


def test_sources_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "asked_for", lambda: [])
    assert found("installation").state == PROBLEM
    assert "extras" not in [each.name for each in examine()]
