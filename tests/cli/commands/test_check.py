"""`check`: what would stop a run, found without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcluster.cli.main import main


def test_check_says_what_a_run_would_do(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config_file)]) == 0
    assert ": 12 images, efficientnet_lite0, 3 clusters, into " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("features.layer=fc99", "efficientnet_lite0 has no layer 'fc99'"),
        ("features.weights=nope.pth", "nope.pth: no such file"),
        ("features.device=cuda:77", "'cuda:77'"),
        ("clusters.n_clusters=13", "13 clusters need at least as many images; there are 12"),
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
