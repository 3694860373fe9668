"""Access to files behind URLs: the options that reach a file system, what is asked again, the translation of errors."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from imgcluster.config.loader import ImagesConfig
from imgcluster.images.listing import list_images
from imgcluster.images.sources.base import RemoteFile
from imgcluster.runs.listed import config_of, listed_images
from imgcluster.runs.places import places_of
from imgcluster.runs.reader import read_record, read_rows
from imgcluster.utils import storage as storage_module
from imgcluster.utils.storage import DEFAULT_STORAGE, RemotePath, Storage

fsspec = pytest.importorskip("fsspec")
memory = pytest.importorskip("fsspec.implementations.memory")


class Shelves(memory.MemoryFileSystem):  # type: ignore[misc]
    """Files in memory, on a shelf of their own for each value of the option `shelf`."""

    protocol = "shelves"
    shelves: ClassVar[dict[str, dict[str, Any]]] = {}
    cachable = False

    def __init__(self, shelf: str = "none", **keys: Any) -> None:
        super().__init__(**keys)
        self.shelf, self.keys = shelf, keys
        self.store = self.shelves.setdefault(shelf, {})
        self.pseudo_dirs = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("shelves://", "memory://").partition("@")[2] or path))

    @classmethod
    def _get_kwargs_from_urls(cls, url: str) -> dict[str, Any]:
        shelf, at, _ = url.partition("://")[2].partition("@")
        return {"shelf": shelf} if at else {}


@pytest.fixture(autouse=True)
def _shelves(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fsspec.register_implementation("shelves", Shelves, clobber=True)
    monkeypatch.setattr(storage_module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(storage_module, "_systems", {})
    yield
    Shelves.shelves.clear()


def shelf(name: str) -> Storage:
    """Return the access to a shelf that has a file with the shelf's name in it."""
    access = Storage({"shelves": {"shelf": name}})
    access.request("shelves://pictures/a.jpg", lambda system, path: system.pipe_file(path, name.encode()))
    return access


def content(images: list[Any]) -> list[bytes]:
    return [image.path.read() for image in images if isinstance(image.path, RemoteFile)]


def sent(value: Any) -> Any:
    """Return a value as another process gets it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301


# Options


def test_two_configs_reach_their_own_servers_alternately_and_in_threads() -> None:
    one, two = shelf("one"), shelf("two")

    def read(access: Storage) -> list[bytes]:
        return content(list_images(ImagesConfig(folder="shelves://pictures"), access)[0])

    assert [read(access) for access in (one, two, one, two)] == [[b"one"], [b"two"]] * 2
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, [one, two] * 20)) == [[b"one"], [b"two"]] * 20
    assert fsspec.config.conf.get("shelves") is None


def test_reading_a_run_reaches_its_images_and_changes_no_other_access(tmp_path: Path) -> None:
    one, two = shelf("one"), shelf("two")
    (image,), _ = list_images(ImagesConfig(folder="shelves://pictures"), one)
    config = {
        "images": {"folder": "shelves://pictures"},
        "clusters": {"n_clusters": 2},
        "outputs": {"folder": "out"},
        "storage": dict(two.options),
    }
    (tmp_path / "run.json").write_text(json.dumps({"status": "done", "config": config, "counts": {"images": 1}}))
    with (tmp_path / "clusters.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["id", "path", "cluster", "distance", "status"],
                ["a.jpg", "shelves://pictures/a.jpg", "0", "0.5", "ok"],
            ]
        )
    record = read_record(tmp_path)
    assert config_of(record, tmp_path).storage == two.options
    where = places_of(tmp_path, record)
    assert content(listed_images(where.rows(read_rows(tmp_path)), where.storage)) == [b"two"]
    assert content([image]) == [b"one"]
    assert content(list_images(ImagesConfig(folder="shelves://pictures"), one)[0]) == [b"one"]


def test_options_are_laid_over_those_of_the_environment_and_these_over_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("s3fs")
    environment = {"key": "k", "anon": True, "config_kwargs": {"read_timeout": 5, "connect_timeout": 6}}
    monkeypatch.setitem(fsspec.config.conf, "s3", environment)
    before = json.dumps(fsspec.config.conf)
    access = Storage({"s3": {"anon": False, "config_kwargs": {"connect_timeout": 7, "retries": {"max_attempts": 3}}}})
    for url in ("s3://bucket/a", "s3a://bucket/a", "simplecache::s3://bucket/a"):
        system, path = access.file_system(url)
        there = system.fs if "::" in url else system
        assert (there.key, there.anon) == ("k", False)
        assert there.config_kwargs == {
            "max_pool_connections": 2 * storage_module.AT_ONCE,
            "read_timeout": 5,
            "connect_timeout": 7,
            "retries": {"max_attempts": 3},
        }
        assert path == "bucket/a"
    assert json.dumps(fsspec.config.conf) == before


def test_an_option_in_a_url_comes_before_the_others() -> None:
    access = Storage({"shelves": {"shelf": "config", "more": 1}})
    assert access.file_system("shelves://url@a")[0].shelf == "url"
    assert access.file_system("shelves://url@a")[0].keys == {"more": 1}
    assert access.file_system("shelves://a")[0].shelf == "config"


def test_equal_ones_share_a_file_system_and_survive_a_pickle() -> None:
    options = {"shelves": {"shelf": "one"}}
    one, same = Storage(options), sent(Storage(options))
    assert one == same
    assert hash(one) == hash(same)
    assert one.file_system("shelves://a")[0] is same.file_system("shelves://a/b")[0]
    assert one.file_system("shelves://a")[0] is not DEFAULT_STORAGE.file_system("shelves://a")[0]
    options["shelves"]["shelf"] = "another"
    assert one == same
    place = RemotePath("shelves://a/", one) / "b"
    assert sent(place) == place
    assert (str(place), place.name, place.storage) == ("shelves://a/b", "b", one)


def test_an_option_that_a_file_system_does_not_take_is_told_in_words() -> None:
    pytest.importorskip("aiohttp")
    access = Storage({"http": {"client_kwargs": {"no_such_option": 1}}})
    with pytest.raises(OSError, match=r"^\S+ got an unexpected keyword argument 'no_such_option'$"):
        access.read_whole("http://127.0.0.1:1/a")


# Failures


def failing(error: Exception) -> tuple[Callable[..., None], list[int]]:
    calls: list[int] = []

    def call(*_: Any) -> None:
        calls.append(1)
        raise error

    return call, calls


def answered(status: int) -> Exception:
    error = Exception("of a server")
    error.status = status  # type: ignore[attr-defined]
    return error


def of(module: str, name: str, *arguments: Any, **keys: Any) -> Exception:
    """Return an error of a library that need not be there."""
    found: Exception = getattr(pytest.importorskip(module), name)(*arguments, **keys)
    return found


@pytest.mark.parametrize("kind", [AttributeError, AssertionError, TypeError, NameError])
def test_an_error_of_a_program_is_raised_at_once_as_it_is(kind: type[Exception]) -> None:
    error = kind("a bug")
    call, calls = failing(error)
    with pytest.raises(kind) as raised:
        DEFAULT_STORAGE.request("shelves://a", call)
    assert raised.value is error
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError("/a"), FileNotFoundError, "no such file or bucket"),
        (answered(404), FileNotFoundError, "no such file or bucket"),
        (PermissionError("/a"), PermissionError, "no permission to read it"),
        (answered(403), PermissionError, "no permission to read it"),
        (answered(400), OSError, "of a server"),
        (ValueError("no bucket is called so\nat all"), OSError, "no bucket is called so"),
        (KeyError("a"), OSError, "'a'"),
        (NotImplementedError(), OSError, "NotImplementedError"),
        (IsADirectoryError("a folder"), OSError, "a folder"),
    ],
)
def test_what_stays_is_asked_for_once_and_is_an_error_of_python(
    error: Exception, kind: type[OSError], words: str
) -> None:
    call, calls = failing(error)
    with pytest.raises(OSError) as raised:  # noqa: PT011 (the words are compared below)
        DEFAULT_STORAGE.request("shelves://a", call)
    assert (type(raised.value), str(raised.value)) == (kind, words)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: OSError("reset"),
        lambda: ConnectionResetError("reset"),
        lambda: TimeoutError("slow"),
        *(lambda status=status: answered(status) for status in (408, 425, 429, 500, 503)),
        lambda: of("aiohttp", "ClientPayloadError", "cut off"),
        lambda: of("aiohttp", "ServerDisconnectedError"),
        lambda: of("botocore.exceptions", "EndpointConnectionError", endpoint_url="http://a"),
        lambda: of("botocore.exceptions", "ReadTimeoutError", endpoint_url="http://a"),
        lambda: of("botocore.exceptions", "IncompleteReadError", actual_bytes=1, expected_bytes=2),
        lambda: of("http.client", "IncompleteRead", b""),
    ],
)
def test_what_may_pass_is_asked_for_again_and_again(make: Callable[[], Exception]) -> None:
    call, calls = failing(make())
    with pytest.raises(OSError) as raised:  # noqa: PT011 (any words)
        DEFAULT_STORAGE.request("shelves://a", call)
    assert type(raised.value) is OSError
    assert len(calls) == storage_module.ATTEMPTS


def test_a_call_that_comes_good_returns() -> None:
    answers = iter([OSError("reset"), answered(503), None])

    def call(*_: Any) -> str:
        if (error := next(answers)) is not None:
            raise error
        return "good"

    assert DEFAULT_STORAGE.request("shelves://a", call) == "good"
