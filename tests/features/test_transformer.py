"""The transformer for scikit-learn: its contract, pipelines, tables, pickles and the store."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import imgcluster
from imgcluster import ImageFeatures
from imgcluster.errors import ConfigError, ImageError
from imgcluster.features import transformer as module
from tests.conftest import write_pictures


@parametrize_with_checks([ImageFeatures()])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    write_pictures(tmp_path / "pictures", range(9))
    return sorted(map(str, (tmp_path / "pictures").iterdir()))


def features(**keys: Any) -> ImageFeatures:
    return ImageFeatures(precision="fp32", batch_size=4, **keys)


def test_it_gives_what_extract_gives(paths: list[str]) -> None:
    wanted = imgcluster.extract(paths, "efficientnet_lite0", precision="fp32", batch_size=4)
    transformer = features()
    np.testing.assert_array_equal(transformer.fit_transform(paths), wanted)
    assert transformer.n_features_out_ == 1280
    np.testing.assert_array_equal(transformer.transform(pd.Series(paths)), wanted)
    np.testing.assert_array_equal(transformer.transform(np.array(paths)), wanted)
    pixels = np.stack([imgcluster.read_image(Path(path)) for path in paths])
    np.testing.assert_array_equal(transformer.transform(pixels), wanted)


def test_in_a_pipeline_with_kmeans(paths: list[str]) -> None:
    labels = make_pipeline(features(), KMeans(3, n_init=3, random_state=0)).fit_predict(paths)
    assert all(labels[index] == labels[index % 3] for index in range(9))  # three kinds of pictures, in turn
    assert len(set(labels)) == 3


def test_as_a_table_and_from_a_column_of_one(paths: list[str]) -> None:
    table = features().set_output(transform="pandas").fit_transform(paths[:2])
    assert list(table.columns[:2]) == ["imagefeatures0", "imagefeatures1"]
    assert table.shape == (2, 1280)
    frame = pd.DataFrame({"path": paths[:2], "size": [1.0, 2.0]})
    columns = ColumnTransformer([("image", features(), ["path"]), ("rest", "passthrough", ["size"])])
    found = columns.fit_transform(frame)
    np.testing.assert_allclose(found[:, :-1], table, rtol=1e-5, atol=1e-6)


def test_layers_are_joined(paths: list[str]) -> None:
    transformer = features(layer=["avgpool", "logits"], weights="random", views="flip")
    assert transformer.fit_transform(paths[:3]).shape == (3, transformer.n_features_out_) == (3, 2280)


def test_a_pickle_makes_its_network_again(paths: list[str]) -> None:
    fitted = features().fit(paths)
    data = pickle.dumps(fitted)
    assert len(data) < 10_000
    np.testing.assert_array_equal(pickle.loads(data).transform(paths[:4]), fitted.transform(paths[:4]))  # noqa: S301


def test_clones_and_parameters() -> None:
    transformer = features(layer="logits")
    assert clone(transformer).get_params() == transformer.get_params()
    with pytest.raises(NotFittedError):
        transformer.transform(["x.png"])
    with pytest.raises(ConfigError, match="backbone: one name; several are joined by a FeatureUnion"):
        ImageFeatures(["efficientnet_lite0", "alexnet"]).fit(["x.png"])
    with pytest.raises(ConfigError, match=r"features.pooling: found 'sum'"):
        transformer.set_params(pooling="sum").fit(["x.png"])


def test_changed_parameters_take_effect_when_fitted_again(paths: list[str]) -> None:
    transformer = features().fit(paths)
    assert transformer.set_params(layer="logits").fit_transform(paths[:1]).shape == (1, 1000)


def test_a_picture_that_cannot_be_read_stops_it(paths: list[str], tmp_path: Path) -> None:
    Path(paths[1]).write_bytes(b"broken")
    for store in (None, tmp_path / "s"):
        with pytest.raises(ImageError, match="a text file, not an image"):
            features(store=store).fit_transform(paths)


def test_with_a_store_nothing_is_computed_twice(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformer = features(store=tmp_path / "s")
    first = transformer.fit_transform(paths)
    monkeypatch.setattr(module, "run_over", lambda *_: pytest.fail("a network ran"))
    np.testing.assert_array_equal(transformer.transform(paths[::-1]), first[::-1])
