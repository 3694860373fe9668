"""The model folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgcluster.errors import ConfigError
from imgcluster.labels.learning import learn
from imgcluster.learning.model import Learned


def test_a_model_is_the_same_after_saving(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    model = learn(config_file, labelled, out=tmp_path / "model", show=False)
    again = Learned.load(tmp_path / "model")
    assert (again.classes, again.counts, again.features) == (model.classes, model.counts, model.features)
    vectors = np.random.default_rng(0).normal(size=(4, 1280)).astype(np.float32)
    np.testing.assert_array_equal(again.probabilities(vectors), model.probabilities(vectors))
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}
    first = (tmp_path / "model" / "model.safetensors").read_bytes()
    learn(config_file, labelled, out=tmp_path / "model", show=False)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.json", None, "is not a model: it has no model.json"),
        ("model.json", b"{", "is damaged"),
        ("model.json", b'{"format": 99}', "another version"),
        ("model.safetensors", b"\0", "is damaged"),
        ("model.safetensors", None, "is not a model"),
    ],
)
def test_models_that_are_none(
    name: str, content: bytes | None, words: str, config_file: Path, labelled: Path, tmp_path: Path
) -> None:
    learn(config_file, labelled, out=tmp_path / "model", show=False)
    path = tmp_path / "model" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        Learned.load(tmp_path / "model")
