"""Wrong steps on the command line, and the right ones that are suggested."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from imgcluster.cli.corrections import COMMANDS
from imgcluster.cli.main import build_parser, main
from tests import ROOT
from tests.conftest import write_pictures, write_template
from tests.support.folder_runs import write_run

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
    ("--debug run c.yaml", "options come after the command: imgcluster run ... --debug"),
    ("--set images.folder=a check c.yaml", "options come after the command: imgcluster check ... --set"),
    ("run c.yaml --frce", "did you mean --force?"),
    ("run c.yaml --set clusters.n_clusters 5", "did you mean --set clusters.n_clusters=5?"),
    ("run --config c.yaml", "leave out --config: imgcluster run c.yaml"),
    ("sweep c.yaml --k 16", "for 16 clusters: imgcluster run c.yaml --set clusters.n_clusters=16"),
    ("cluster pics", "there is no command 'cluster' and no such folder; did you mean: imgcluster run"),
    ("clsuter pics", "all commands: imgcluster --help"),
    ("shwo outputs/one", "did you mean: imgcluster show"),
    ("train c.yaml ids.csv", "did you mean: imgcluster learn"),
    ("help", "did you mean: imgcluster --help"),
    ("pisc", "there is no command 'pisc' and no such folder; did you mean: imgcluster pics"),
    ("pics/0000.jpg", "did you mean: imgcluster pics"),
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


def test_a_bare_command_names_the_first_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in told if line.startswith("  imgcluster")] == ["FOLDER", "show"]


def test_what_is_right_is_not_asked_about(first_steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(first_steps)
    for line in ("check c.yaml", "show outputs/one", "validate outputs/one/submission.csv sample_submission.csv"):
        assert main(line.split()) == 0


def test_every_command_that_is_named_is_one() -> None:
    """In hints, errors and what comes next, all over the package."""
    commands = set(build_parser().get_default("names"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "imgcluster").rglob("*.py"))
    named = set(re.findall(r"(?:-m |`|: |\n  )imgcluster ([a-z-]+) ", text)) | set(COMMANDS.values())
    assert {"init", "show", "export-folders", "run"} <= named <= commands | {"--help", "--version"}
    assert set(re.findall(r"(?:use|take) `([a-z-]+)` and `([a-z-]+)`", text)) == {("run", "export")}


@pytest.mark.parametrize("word", ["", "  "])
def test_an_empty_word_is_no_folder(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"imgcluster: error: there is no command {word!r} and no such folder; all commands: imgcluster --help"
    )
