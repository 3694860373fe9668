"""Images behind URLs: on an S3, on web servers with faults, in memory; as good as the same images in a folder here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from imgcluster import load_config, run
from imgcluster.config import Config
from tests.conftest import Command
from tests.servers import S3Server, WebServer


def config_of(config_file: Path, **sections: Any) -> Config:
    """Return the config of the twelve pictures with other keys, also written into its file."""
    data = yaml.safe_load(config_file.read_text())
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    config_file.write_text(yaml.safe_dump(data))
    return load_config(config_file)


def submission(config: Config) -> bytes:
    return (Path(config.outputs.folder) / "submission.csv").read_bytes()


def here_and(config_file: Path, tmp_path: Path, **sections: Any) -> tuple[bytes, bytes]:
    """Run the twelve pictures from their folder, and with other keys into another store; returns both submissions."""
    here = load_config(config_file)
    run(here, show=False)
    first = submission(here)
    config = config_of(
        config_file,
        features={"store": str(tmp_path / "store2")},
        outputs={"folder": str(tmp_path / "out2")},
        **sections,
    )
    run(config, show=False)
    return first, submission(config)


def test_a_run_on_s3_gives_the_same_submission(config_file: Path, pictures: Path, tmp_path: Path, s3: S3Server) -> None:
    url = s3.put_folder(pictures, "pictures/of/twelve")
    ids = s3.put("pictures/template.csv", (tmp_path / "template.csv").read_bytes())
    here, there = here_and(config_file, tmp_path, images={"folder": url, "ids": ids}, storage=s3.storage)
    assert here == there
