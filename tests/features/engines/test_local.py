"""Reading, computing and writing at once: every way in which one of them can end, and the same rows in all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster.config.loader import FeaturesConfig
from imgcluster.errors import ImageError, StoreError
from imgcluster.features import extraction as features_module
from imgcluster.features.engines import local as work_module
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Features
from imgcluster.features.store.backend import LocalFiles
from imgcluster.features.store.store import FeatureStore
from imgcluster.images import loader as batches_module
from imgcluster.images.decode import read_image
from imgcluster.images.listing import walk_images
from imgcluster.images.preprocess import prepare
from tests.conftest import write_pictures

SECONDS = 60  # nothing here takes more than a few: a thread that is still alive hangs


class MeanColour:
    """A runtime without a network: the features of a picture are its mean colour."""

    name = "torch"
    device = "cpu"

    def __init__(self, depth: int = 1, spoil: Callable[[int], None] = lambda _: None) -> None:
        self.depth = depth
        self._spoil = spoil
        self.started = 0

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.uint8)

    prepare = staticmethod(prepare)

    def start(self, pixels: np.ndarray) -> Callable[[], list[np.ndarray]]:
        self.started += 1
        self._spoil(self.started)
        return lambda: [
            pixels.mean((1, 2, 3), dtype=np.float64).astype(np.float32)
        ]  # only now: pixels must have stayed

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        return self.start(pixels)()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", range(23))
    return tmp_path / "pictures"


def extracted(folder: Path, store: Path, runtime: MeanColour, **keys: Any) -> Features:
    config = FeaturesConfig(backbone="efficientnet_lite0", batch_size=keys.pop("batch_size", 4), store=str(store))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "build_runtime", lambda *_: runtime)
        return ends(lambda: extract_features(walk_images(folder), config, show=False, **keys))


def ends(call: Callable[[], Features]) -> Features:
    """Call in a thread that must end, and hand on what it returns or raises."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert outcome, "it hangs"
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    assert not [each for each in threading.enumerate() if each.name.startswith("imgcluster-")]
    return outcome[0]


@pytest.mark.parametrize("depth", [1, 2, 9])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("readers", [1, 7])
def test_the_same_rows_in_the_same_order(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, depth: int, batch_size: int, readers: int
) -> None:
    images = walk_images(pictures)
    wanted = [read_image(image.path).mean((0, 1)) for image in images if image != images[5]]
    images[5].path.write_bytes(b"broken")
    monkeypatch.setattr(batches_module.os, "cpu_count", lambda: readers)
    found = extracted(pictures, tmp_path / "s", MeanColour(depth), batch_size=batch_size)
    assert [failure.image for failure in found.failures] == [images[5]]
    assert found.images == images[:5] + images[6:]
    np.testing.assert_allclose(found.vectors, wanted, atol=8)  # the whole picture, and here the resized middle of it


def test_rows_come_out_as_they_went_in_while_readers_are_slow(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = extracted(pictures, tmp_path / "a", MeanColour()).vectors
    decode, random = work_module.decode_picture, np.random.default_rng(0)

    def slowly(*arguments: Any) -> np.ndarray:
        time.sleep(random.uniform(0, 0.02))
        return decode(*arguments)

    monkeypatch.setattr(work_module, "decode_picture", slowly)
    np.testing.assert_array_equal(extracted(pictures, tmp_path / "b", MeanColour(3)).vectors, wanted)


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    def spoil(started: int) -> None:
        if started == number:
            raise error

    return spoil


@pytest.mark.parametrize("depth", [1, 3])
def test_a_network_that_fails_ends_the_run_and_keeps_what_was_done(pictures: Path, tmp_path: Path, depth: int) -> None:
    broken = MeanColour(depth, fail_at(5, ValueError("the network broke")))
    with pytest.raises(ValueError, match="the network broke"):
        extracted(pictures, tmp_path / "s", broken)
    again = extracted(pictures, tmp_path / "s", MeanColour())
    assert again.origins[0].reused >= 4 * (5 - depth)
    assert len(again.vectors) == 23


def test_a_reader_that_raises_what_nobody_foresaw(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = work_module.decode_picture

    def broken(*arguments: Any) -> np.ndarray:
        if threading.current_thread().name.endswith("0"):
            raise ZeroDivisionError("a reader broke")
        return decode(*arguments)

    monkeypatch.setattr(work_module, "decode_picture", broken)
    with pytest.raises(ZeroDivisionError, match="a reader broke"):
        extracted(pictures, tmp_path / "s", MeanColour())
    monkeypatch.undo()
    assert len(extracted(pictures, tmp_path / "s", MeanColour()).vectors) == 23


def test_a_disk_that_fills_ends_the_run(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, written = FeatureStore.append, []

    def full(store: FeatureStore, keys: list[Any], vectors: np.ndarray) -> None:
        if store.folder.name.startswith("pixels-measures"):
            append(store, keys, vectors)
            return
        if len(written) == 2:
            with store._store_errors():
                raise OSError(28, "No space left on device")
        written.append(append(store, keys, vectors))

    monkeypatch.setattr(FeatureStore, "append", full)
    monkeypatch.setattr(LocalFiles, "seconds_between_writes", 0)
    runtime = MeanColour(1, lambda _: time.sleep(0.05))
    with pytest.raises(StoreError, match="No space left on device"):
        extracted(pictures, tmp_path / "s", runtime, batch_size=1)
    assert runtime.started < 23  # it does not go on computing what cannot be kept
    monkeypatch.undo()
    again = extracted(pictures, tmp_path / "s", MeanColour())
    assert again.origins[0].reused == 2
    assert len(again.vectors) == 23


def test_on_error_stop_names_the_first_in_the_order_of_the_list(pictures: Path, tmp_path: Path) -> None:
    paths = [image.path for image in walk_images(pictures)]
    for path in (paths[20], paths[9]):
        path.write_bytes(b"broken")
    with pytest.raises(ImageError, match=paths[9].name):
        extracted(pictures, tmp_path / "s", MeanColour(3), on_error="stop")


def test_quick_batches_are_written_together(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards: list[int] = []
    append = FeatureStore.append
    monkeypatch.setattr(
        FeatureStore, "append", lambda store, keys, rows: (shards.append(len(keys)), append(store, keys, rows))[1]
    )
    monkeypatch.setattr(LocalFiles, "seconds_between_writes", 30)
    extracted(pictures, tmp_path / "s", MeanColour(), batch_size=2)
    assert shards == [23, 23]  # measures and features


def test_a_slow_network_loses_half_a_second_and_no_more(pictures: Path, tmp_path: Path) -> None:
    kept: list[int] = []

    def slow(started: int) -> None:
        time.sleep(0.8)
        kept.append(sum(len(path.read_bytes()) > 0 for path in (tmp_path / "s").glob("efficient*/vectors-*.npy")))

    extracted(pictures, tmp_path / "s", MeanColour(1, slow), batch_size=8)
    assert kept == [0, 1, 2]  # each batch was on the disk before the next but one was begun


def test_the_stages_are_timed(pictures: Path, tmp_path: Path) -> None:
    seconds = extracted(pictures, tmp_path / "s", MeanColour()).origins[0].seconds
    assert {"reading files", "decoding", "cropping and resizing", "network", "writing"} <= set(seconds)
    assert all(spent >= 0 for spent in seconds.values())


@pytest.mark.parametrize("batch_size", [1, 8])
def test_progress_that_nobody_reads_ends_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    @contextmanager
    def closed(*_: Any, **__: Any) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            raise BrokenPipeError

        yield advance

    monkeypatch.setattr(features_module, "track", closed)
    monkeypatch.setattr(LocalFiles, "seconds_between_writes", 0)
    with pytest.raises(BrokenPipeError):
        extracted(pictures, tmp_path / "s", MeanColour(), batch_size=batch_size)


def zero_rows(store: Path, rows: int) -> None:
    """Put zeros in the place of the last rows of a store's only shard, three values each."""
    (path,) = store.glob("efficient*/vectors-*.npy")
    path.write_bytes(path.read_bytes()[: -12 * rows] + bytes(12 * rows))


@pytest.mark.parametrize("moved", [False, True], ids=["known by path", "known by bytes"])
def test_images_of_a_damaged_shard_are_computed_again(
    pictures: Path, tmp_path: Path, moved: bool, caplog: pytest.LogCaptureFixture
) -> None:
    first = extracted(pictures, tmp_path / "s", MeanColour())
    zero_rows(tmp_path / "s", 5)
    folder = pictures.rename(tmp_path / "moved") if moved else pictures
    again = extracted(folder, tmp_path / "s", MeanColour())
    np.testing.assert_array_equal(again.vectors, first.vectors)
    assert (again.origins[0].computed, again.origins[0].reused) == (23, 0)
    (warning,) = [message for message in caplog.messages if "damaged" in message]
    assert "vectors-00000.npy: " in warning
    assert len(list((tmp_path / "s").glob("*/*.damaged"))) == 2
    third = extracted(folder, tmp_path / "s", MeanColour())
    assert (third.origins[0].computed, third.origins[0].reused) == (0, 23)
    np.testing.assert_array_equal(third.vectors, first.vectors)
