"""The command line as a user meets it: what it prints, what it imports, how it ends, and what a kill leaves behind."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgcluster.cli.corrections import COMMANDS
from imgcluster.cli.main import _parser, main
from imgcluster.config import backbone_table as catalog
from imgcluster.config.likely_names import BACKBONES, KEYS, METHODS, known_elsewhere, likely
from imgcluster.config.loader import SECTIONS
from imgcluster.config.method_table import METHOD_NAMES
from tests import ROOT
from tests.conftest import Command, Start, write_pictures, write_template
from tests.support.folder_runs import write_run
from tests.support.warm import Running

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


def test_a_run_from_start_to_end(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("run", config_file)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "images    12: 12 computed, 0 from the store, 0 failed"
    assert lines[1] == "backbone  efficientnet_lite0 avgpool, 1280-d, weights imagenet (sha256 57934424…)"
    assert lines[2].startswith("device    cpu, ")
    assert [line.split()[-1] for line in lines if line.startswith("cluster ")] == ["4", "4", "4"]
    assert f"written   {tmp_path / 'out' / 'submission.csv'}" in lines
    assert "features: 12/12 images" in result.stderr
    again = command("run", config_file, "--quiet")
    assert again.stdout.splitlines()[0] == "images    12: 0 computed, 12 from the store, 0 failed"
    assert again.stderr == ""


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


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ImageID,label\n0000,0\n9999,0\n", "row 2: 1 of 2 ids have no file: '9999' (tried"),
        ("ImageID,label\n../../etc/passwd,0\n", "row 1: id '../../etc/passwd' leads outside of images.folder"),
        ("ImageID,label\n0000,0\n/etc/passwd,0\n", "row 2: id '/etc/passwd' leads outside of images.folder"),
        ("ImageID,label\n0000,0\n0001,0\n0000,0\n", "row 3: id '0000' stands already in row 1"),
        ("name,label\n0000,0\n", "has no column 'ImageID' (its columns: 'name', 'label')"),
    ],
    ids=["missing", "outside", "absolute", "duplicate", "no-column"],
)
def test_bad_ids_stop_before_any_work(
    tmp_path: Path, config_file: Path, rows: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "template.csv").write_text(rows)
    assert main(["run", str(config_file), "--set", "images.id_column=ImageID"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "out").exists()


def test_check_says_what_a_run_would_do(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config_file)]) == 0
    assert ": 12 images, efficientnet_lite0, 3 clusters, into " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("features.layer=fc99", "efficientnet_lite0 has no layer 'fc99'"),
        ("features.weights=nope.pth", "nope.pth: no such file"),
        ("features.device=cuda:77", "'cuda:77'"),
        ("clusters.n_clusters=13", "13 clusters need at least as many readable images; there are 12"),
        ("outputs.label_column=lable", "has no column 'lable'"),
        ("images.folder=nowhere", "'nowhere' is not a folder"),
    ],
)
def test_check_finds_what_would_stop_a_run(
    tmp_path: Path, config_file: Path, override: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("check", "run"):
        assert main([command, str(config_file), "--set", override]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_the_console_script_is_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("imgcluster")
    if not script.exists():
        pytest.skip("imgcluster is not installed beside this Python")
    result = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("imgcluster 0.")


def test_a_terminal_without_our_letters_is_no_reason_to_fail(config_file: Path, command: Command) -> None:
    result = command("run", config_file, "--quiet", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert "cluster   0" in result.stdout


def test_what_the_system_refuses_is_one_line(tmp_path: Path, config_file: Path, command: Command) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    result = command("run", config_file, "--quiet")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "features.store" in result.stderr
    assert "Traceback" not in result.stderr


def test_extract_fills_the_store_and_writes_nothing_else(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("extract", config_file, "--quiet")
    assert result.stdout.splitlines()[0] == "images    12: 12 computed, 0 from the store, 0 failed"
    assert not (tmp_path / "out").exists()
    assert "0 computed, 12 from the store" in command("run", config_file).stdout


def hostile_folder(folder: Path) -> None:
    write_pictures(folder, range(9))
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture at all\n" * 50)
    (folder / "truncated.jpg").write_bytes((folder / "0000.jpg").read_bytes()[:-300])
    cv2.imwrite(str(folder / "truncated.png"), np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))
    (folder / "truncated.png").write_bytes((folder / "truncated.png").read_bytes()[:-500])
    cv2.imwrite(str(folder / "one.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(folder / "long.png"), np.full((20, 20_000, 3), 90, np.uint8))
    (folder / "x.jpg").mkdir()
    (folder / "broken.jpg").symlink_to(folder / "gone.jpg")
    (folder / "secret.jpg").write_bytes((folder / "0001.jpg").read_bytes())
    (folder / "secret.jpg").chmod(0)
    os.mkfifo(folder / "pipe.jpg")


@pytest.mark.parametrize("recipe", ["backbone", "stage"])
def test_a_hostile_folder_is_clustered_with_every_file_accounted_for(
    tmp_path: Path, command: Command, recipe: str
) -> None:
    hostile_folder(tmp_path / "hostile")
    config = tmp_path / "c.yaml"
    config.write_text(
        "images: {folder: hostile}\n"
        f"features: {{backbone: efficientnet_lite0, preprocess: {recipe}, store: s}}\n"
        "clusters: {n_clusters: 3}\noutputs: {folder: out}\n"
    )
    result = command("run", config)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "out" / "clusters.csv").open(newline="") as file:
        error_of = {row["id"]: row["error"] for row in csv.DictReader(file)}
    assert error_of.pop("secret.jpg") in ("", "no permission to read it")  # root may read everything
    assert {name: error for name, error in error_of.items() if error} == {
        "broken.jpg": "broken link",
        "empty.jpg": "the file is empty",
        "pipe.jpg": "is not a regular file",
        "text.jpg": "a text file, not an image",
        "truncated.jpg": "truncated JPEG",
        "truncated.png": "truncated PNG",
        "x.jpg": "is a folder",
    }
    assert {"one.png", "long.png", *(f"{number:04d}.jpg" for number in range(9))} <= set(error_of)
    assert "  failed  broken.jpg: broken link" in result.stdout
    assert "other reasons, see clusters.csv" in result.stdout
    # Nothing of what the libraries below would say of the damaged ones.
    progress = ("features: ", "clustering: ", "thumbnails: ")
    assert all(line.startswith(progress) for line in result.stderr.splitlines()), result.stderr


def test_the_fallback_cannot_be_overlooked(tmp_path: Path, config_file: Path, command: Command) -> None:
    named = ("--set", "features.backbone=vgg16", "--set", "features.fallback=efficientnet_lite0")
    result = command("run", config_file, "--quiet", *named)
    assert result.returncode == 0
    assert "FALLBACK: these are NOT features of vgg16, but of efficientnet_lite0" in result.stderr
    assert "FALLBACK  efficientnet_lite0 stood in for vgg16" in result.stdout
    assert '"wanted": "vgg16"' in (tmp_path / "out" / "run.json").read_text()


def test_without_a_fallback_the_run_stops(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("run", config_file, "--set", "features.backbone=vgg16", "--set", "features.fallback=null")
    assert (result.returncode, result.stdout) == (1, "")
    assert "vgg16-397923af.pth" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "submission.csv").exists()


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50", "[efficientnet_lite0, resnet50]"])
def test_a_backbone_asked_for_by_name_has_no_fallback(
    tmp_path: Path, config_file: Path, command: Command, backbone: str
) -> None:
    for name in ("run", "extract", "sweep"):
        result = command(name, config_file, "--quiet", "--set", f"features.backbone={backbone}")
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert "no ImageNet weights for " in result.stderr
        assert result.stderr.endswith("; or use efficientnet_lite0 instead: features.fallback: efficientnet_lite0\n")
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_the_default_backbone_has_a_fallback(config_file: Path, command: Command) -> None:
    config_file.write_text(config_file.read_text().replace("backbone: efficientnet_lite0, ", ""))
    result = command("run", config_file, "--quiet")
    assert result.returncode == 0, result.stderr
    assert "FALLBACK  efficientnet_lite0 stood in for vgg16" in result.stdout


def slow_config(tmp_path: Path, count: int = 60) -> Path:
    write_pictures(tmp_path / "many", range(count))
    write_template(tmp_path / "many.csv", range(count))
    path = tmp_path / "many.yaml"
    path.write_text(
        "images: {folder: many, ids: many.csv}\n"
        "features: {backbone: efficientnet_lite0, views: ten_crops, runtime: openvino, batch_size: 1, store: store}\n"
        "clusters: {n_clusters: 3}\noutputs: {folder: out}\n"
    )
    return path


def stored(folder: Path) -> int:
    """Images with a row in a shard that counts; a kill in the middle of joining shards leaves some twice."""
    return len({row[0] for path in folder.glob("*/index-*.json") for row in json.loads(path.read_text())["images"]})


def shards(store: Path) -> int:
    return len(list(store.glob("*/index-*.json")))


def wait_for_shards(process: Running, store: Path, least: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and shards(store) < least:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_runs_go_on_to_the_undisturbed_bytes(tmp_path: Path, command: Command, start: Start) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert command("run", slow_config(undisturbed), cwd=undisturbed).returncode == 0
    config = slow_config(tmp_path)
    generator = random.Random(5)
    ends = []
    for attempt in range(10):
        before = stored(tmp_path / "store")
        process = start("run", config)
        # Four in the middle of extraction; the others anywhere from the start to the writing of the outputs.
        if attempt < 4:
            wait_for_shards(process, tmp_path / "store", shards(tmp_path / "store") + 1)
            time.sleep(generator.random() * 0.05)
        else:
            time.sleep(generator.random() * 4)
        process.kill()
        ends.append(process.wait())
        assert stored(tmp_path / "store") >= before, f"attempt {attempt} lost finished rows"
    assert ends[:4] == [-signal.SIGKILL] * 4
    kept = stored(tmp_path / "store")
    result = command("run", config)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"images    60: {60 - kept} computed, {kept} from the store, 0 failed"
    assert kept >= 4
    for name in ("submission.csv", "clusters.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed / "out" / name).read_bytes()
    left = [path.name for folder in (tmp_path / "out", tmp_path / "store") for path in folder.rglob("*.tmp")]
    assert left == []


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
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "imgcluster", "schema"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `| head` does, early
    assert process.stderr.read() == ""
    assert process.wait() == 0


def test_the_shipped_stage_config_runs_offline(tmp_path: Path, command: Command) -> None:
    result = command(
        "run", "configs/stage.yaml", "--set", f"features.store={tmp_path / 's'}",
        "--set", f"outputs.folder={tmp_path / 'stage'}", cwd=ROOT,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "FALLBACK" in result.stderr
    assert result.stdout.splitlines()[0] == "images    160: 160 computed, 0 from the store, 0 failed"
    template = (ROOT / "data/stage/sample_submission.csv").read_text().splitlines()
    submission = (tmp_path / "stage" / "submission.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in submission] == [line.split(",")[0] for line in template]
    assert {line.split(",")[1] for line in submission[1:]} == set("01234")


def raises(error: Exception) -> Callable[[object], None]:
    def command(_: object) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "the memory does not suffice (Unable to allocate 9 GiB)"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "the memory does not suffice (Default"),
        (ImportError("libGL.so.1: cannot open shared object file\nmore"), "a package cannot be loaded: libGL.so.1: "),
    ],
)
def test_what_a_machine_lacks_is_a_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imgcluster.cli.main._doctor", raises(error))
    assert main(["doctor"]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"imgcluster: {line}")


def test_a_mistake_of_ours_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends in a traceback, which whoever mends it needs."""
    monkeypatch.setattr("imgcluster.cli.main._doctor", raises(ValueError("oh")))
    with pytest.raises(ValueError, match="oh"):
        main(["doctor"])


# What people type first, in the folder that `first_steps` makes, and how the line that they read ends.
WRONG_STEPS = [
    ("", "All commands: imgcluster --help"),
    ("run pics", "pics is a folder of images; `run` takes a config. Make one: imgcluster init pics"),
    ("run empty", "empty is a folder; `run` takes a config. Make one: imgcluster init empty"),
    ("check pics", "pics is a folder of images; `check` takes a config. Make one: imgcluster init pics"),
    ("sweep pics", "pics is a folder of images; `sweep` takes a config. Make one: imgcluster init pics"),
    ("run outputs/one", "outputs/one is a run folder; `run` takes a config. Look at it: imgcluster show outputs/one"),
    ("run outputs", "outputs is a folder of runs; `run` takes a config. Look at one: imgcluster show outputs/one"),
    ("run outputs/one/run.json", "`run` takes a config. Look at the run: imgcluster show outputs/one"),
    ("run model", "`run` takes a config. Label images by it: imgcluster predict model IMAGES --out CSV"),
    ("run ids.csv", "ids.csv is a CSV; `run` takes a config. Make one: imgcluster init FOLDER --ids ids.csv"),
    ("run pics/0000.jpg", "is an image; `run` takes a config. Make one for its folder: imgcluster init pics"),
    ("run 'two words'", "Make one: imgcluster init 'two words'"),
    ("run a.zip", "a.zip is an archive; `run` takes a config. Name it in one, as images.folder"),
    ("run configs", "configs is a folder of configs; `run` takes a config. Take one: imgcluster run configs/x.yaml"),
    ("run c.yml", "c.yml: no such file; did you mean c.yaml?"),
    ("run X.yaml", "X.yaml: no such file; did you mean configs/x.yaml?"),
    ("run pics/c.yaml", "pics/c.yaml: no such file; did you mean c.yaml?"),
    ("run c.yaml --set n_clusters=12", "did you mean 'clusters.n_clusters'?"),
    ("run c.yaml --set cluster.n_clusters=5", "did you mean 'clusters'?"),
    ("run c.yaml --set k=5", "did you mean 'clusters.n_clusters'?"),
    ("run c.yaml --set clusters.k=5", "did you mean 'clusters.n_clusters'?"),
    ("run c.yaml --set model=resnet50", "did you mean 'features.backbone'?"),
    ("run c.yaml --set images.csv=ids.csv", "did you mean 'images.ids'?"),
    ("init pics ids.csv", "unrecognized arguments: ids.csv; did you mean --ids ids.csv?"),
    ("compare c.yaml ids.csv", "unrecognized arguments: ids.csv; did you mean --truth ids.csv?"),
    ("run c.yaml --k 16", "unrecognized arguments: --k 16; use --set clusters.n_clusters=16"),
    ("run c.yaml --n-clusters=5", "use --set clusters.n_clusters=5"),
    ("run c.yaml clusters.n_clusters=5", "use --set clusters.n_clusters=5"),
    ("run c.yaml --backbone resnet50", "use --set features.backbone=resnet50"),
    ("run c.yaml --output there", "use --set outputs.folder=there"),
    ("run c.yaml --seed 3", "use --set clusters.random_state=3"),
    ("run c.yaml --frce", "did you mean --force?"),
    ("run c.yaml --set clusters.n_clusters 5", "did you mean --set clusters.n_clusters=5?"),
    ("run --config c.yaml", "leave out --config: imgcluster run c.yaml"),
    ("sweep c.yaml --k 16", "for 16 clusters: imgcluster run c.yaml --set clusters.n_clusters=16"),
    ("cluster pics", "there is no command 'cluster'; did you mean: imgcluster run"),
    ("clsuter pics", "all commands: imgcluster --help"),
    ("shwo outputs/one", "did you mean: imgcluster show"),
    ("train c.yaml ids.csv", "did you mean: imgcluster learn"),
    ("help", "did you mean: imgcluster --help"),
    ("pics", "did you mean: imgcluster init pics"),
    ("c.yaml", "did you mean: imgcluster run c.yaml"),
    ("outputs/one", "did you mean: imgcluster show outputs/one"),
    ("show c.yaml", "c.yaml is a config; `show` takes a run folder. Take its run: imgcluster show outputs/one"),
    ("show configs/x.yaml", "`show` takes a run folder. Make its run first: imgcluster run configs/x.yaml"),
    ("show outputs", "outputs is a folder of runs; `show` takes a run folder. Take one: imgcluster show outputs/one"),
    ("show outputs/on", "outputs/on: no such run folder; did you mean outputs/one?"),
    ("show one", "one: no such run folder; did you mean outputs/one?"),
    ("show pics", "Make a config, and run it: imgcluster init pics"),
    ("report outputs/one/clusters.csv", "`report` takes a run folder. Take the run: imgcluster report outputs/one"),
    ("stability ids.csv", "ids.csv is a CSV; `stability` takes a run folder. Take one such as outputs/stage"),
    ("explain model", "Label images by it: imgcluster predict model IMAGES --out CSV"),
    ("assign pics outputs/one --out x.csv", "which comes first: imgcluster assign outputs/one pics"),
    ("predict pics model --out x.csv", "which comes first: imgcluster predict model pics"),
    ("predict outputs/one pics --out x.csv", "imgcluster assign outputs/one IMAGES --out CSV"),
    ("predict c.yaml pics --out x.csv", "Make one: imgcluster learn c.yaml LABELS --out MODEL"),
    ("learn pics ids.csv --out m", "`learn` takes a config or a run folder. Make one: imgcluster init pics"),
    ("learn ids.csv c.yaml --out m", "which comes first: imgcluster learn c.yaml ids.csv"),
    ("score ids.csv outputs/one", "which comes first: imgcluster score outputs/one ids.csv"),
    ("validate outputs/one ids.csv", "takes its submission: imgcluster validate outputs/one/submission.csv ids.csv"),
    (
        "validate sample_submission.csv outputs/one/submission.csv",
        "the submission comes first: imgcluster validate outputs/one/submission.csv sample_submission.csv",
    ),
    ("init c.yaml", "c.yaml is a config; `init` takes a folder of images. Run the config: imgcluster run c.yaml"),
    ("init ids.csv", "Give it both: imgcluster init FOLDER --ids ids.csv"),
    ("init pics/0000.jpg", "Take its folder: imgcluster init pics"),
    ("init outputs/one", "Look at the run: imgcluster show outputs/one"),
    ("layers resnet", "there is no backbone 'resnet'; did you mean 'resnet50'?"),
    ("models clip", "did you mean 'timm:vit_base_patch32_clip_224.openai'?"),
]  # fmt: skip


@pytest.fixture(scope="module")
def first_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who takes a wrong step."""
    folder = tmp_path_factory.mktemp("steps")
    for name in ("empty", "model", "configs", "outputs"):
        (folder / name).mkdir()
    write_pictures(folder / "pics", range(2))
    write_pictures(folder / "two words", range(2))
    write_template(folder / "ids.csv", range(2))
    write_template(folder / "sample_submission.csv", range(2))
    (folder / "a.zip").touch()
    (folder / "model" / "model.json").write_text("{}")
    config = "images: {folder: pics}\nclusters: {n_clusters: 2}\noutputs: {folder: outputs/%s}\n"
    (folder / "c.yaml").write_text(config % "one")
    (folder / "configs" / "x.yaml").write_text(config % "none")
    write_run(folder / "outputs" / "one", folder / "pics", {"0000.jpg": "0", "0001.jpg": "1"})
    write_template(folder / "outputs" / "one" / "submission.csv", range(2))
    return folder


@pytest.mark.parametrize(("line", "said"), WRONG_STEPS, ids=[line for line, _ in WRONG_STEPS])
def test_a_wrong_step_names_the_right_one(
    first_steps: Path, line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(first_steps)
    try:
        code = main(shlex.split(line))
    except SystemExit as left:
        code = left.code
        assert code == 2
    told = capsys.readouterr()
    assert code in (1, 2)
    assert told.out == ""
    last = told.err.splitlines()[-1]
    assert said in last
    assert last.endswith(said) or "allowed: " in last
    assert code == 2 or told.err.count("\n") == 1


def test_a_bare_command_names_the_first_three(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in told if line.startswith("  imgcluster")] == ["init", "run", "show"]


def test_what_is_right_is_not_asked_about(first_steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(first_steps)
    for line in ("check c.yaml", "show outputs/one", "validate outputs/one/submission.csv sample_submission.csv"):
        assert main(line.split()) == 0


def test_every_command_that_is_named_is_one() -> None:
    """In hints, errors and what comes next, all over the package."""
    commands = set(_parser().get_default("names"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "imgcluster").rglob("*.py"))
    named = set(re.findall(r"(?:-m |`|: |\n  )imgcluster ([a-z-]+) ", text)) | set(COMMANDS.values())
    assert {"init", "show", "export-folders", "run"} <= named <= commands | {"--help", "--version"}
    assert set(re.findall(r"(?:use|take) `([a-z-]+)` and `([a-z-]+)`", text)) == {("run", "export")}


def test_names_from_elsewhere_lead_to_names_that_are_there() -> None:
    keys = {f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields}
    assert set(KEYS.values()) <= keys
    assert {name for name, _ in METHODS.values()} <= set(METHOD_NAMES)
    assert not set(METHODS) & set(METHOD_NAMES)
    names = {name for name, _ in BACKBONES.values()}
    assert {name for name in names if not name.startswith("timm:")} <= set(catalog.BACKBONES)
    for name in METHODS:
        assert likely(name.upper(), METHOD_NAMES) == known_elsewhere(name, METHOD_NAMES)
    timm = pytest.importorskip("timm")
    assert {name.removeprefix("timm:") for name in names if name.startswith("timm:")} <= set(timm.list_pretrained())
