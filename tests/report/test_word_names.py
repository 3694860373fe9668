"""Names of clusters from words: what is read, when a phrase is sure, and runs with a real small CLIP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imgcluster.backbones import NAMING_NETWORK, TextVectors, find_backbone
from imgcluster.backbones.weights.locate import place_of
from imgcluster.cli.main import main
from imgcluster.errors import ConfigError
from imgcluster.report import word_names
from imgcluster.report.word_names import choose_phrase, read_phrases
from tests.conftest import write_picture
from tests.support.servers import WebServer

PHRASES = ["cat", "dog", "boat"]
NEUTRAL = 1
SCALE = 100.0


def axes(*rows: list[float]) -> np.ndarray:
    values = np.array(rows, np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


# Three phrases and a neutral one, each an axis of the space.
TEXTS = TextVectors(np.eye(4, dtype=np.float32), SCALE)


# ---- when a phrase is sure


@pytest.mark.parametrize(
    ("images", "name"),
    [
        (axes([1, 0, 0, 0], [1, 0.1, 0, 0.1], [0.9, 0, 0.1, 0.2]), "cat"),
        (5 * axes([0, 0, 1, 0]), "boat"),  # lengths do not matter
        (axes([1, 1, 0, 0], [1, 1, 0, 0]), None),  # two phrases fit as well
        (axes([1, 0, 0, 1], [1, 0, 0, 1.2]), None),  # a neutral phrase fits as well
        (axes([0, 0, 0, 1], [0, 0, 0, 1]), None),  # a neutral phrase fits best
        (axes([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]), None),  # each image something else
        (axes([1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]), "cat"),  # two thirds
        (axes([1, 0.999, 0.999, 0.999]), None),  # hardly more than the others
        (np.zeros((2, 4), np.float32), None),
    ],
)
def test_a_cluster_is_called_by_the_phrase_that_is_sure(images: np.ndarray, name: str | None) -> None:
    found = choose_phrase(images, TEXTS, PHRASES)
    assert (found and found.name) == name
    assert found is None or 0.5 <= found.share <= 1


def test_the_scale_of_the_network_decides_how_sure_a_margin_is() -> None:
    images = axes([1, 0.97, 0, 0])
    assert choose_phrase(images, TextVectors(np.eye(4, dtype=np.float32), 100.0), PHRASES) is not None
    assert choose_phrase(images, TextVectors(np.eye(4, dtype=np.float32), 1.0), PHRASES) is None


# ---- the file


def phrases(tmp_path: Path, data: bytes) -> list[str]:
    (tmp_path / "words.txt").write_bytes(data)
    return read_phrases(tmp_path / "words.txt").texts


def test_phrases_are_lines_each_once(tmp_path: Path) -> None:
    text = "\ufeffred car\r\n\n  blue   sky \nred car\nStraße\n猫"
    assert phrases(tmp_path, text.encode()) == ["red car", "blue sky", "Straße", "猫"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; write one word or phrase a line"),
        (b"\n \n", "is empty; write one word or phrase a line"),
        (b"caf\xe9", "is not UTF-8 text; save it as UTF-8"),
        ("\n".join(map(str, range(10_001))).encode(), "has 10,001 phrases; at most 10,000 are compared"),
    ],
)
def test_a_file_without_words_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        phrases(tmp_path, data)


@pytest.mark.parametrize("case", ["no file", "a folder", "empty", "no package", "no report"])
def test_what_cannot_be_named_stops_before_any_work(
    tmp_path: Path,
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = tmp_path / "words.txt"
    said = {
        "no file": "cannot be read: No such file or directory",
        "a folder": "cannot be read: Is a directory",
        "empty": "is empty",
        "no package": "outputs.names_from: clip:NAME needs the package open_clip_torch",
        "no report": "the report has these names; set outputs.report: true",
    }[case]
    if case == "a folder":
        words.mkdir()
    elif case != "no file":
        words.write_text("" if case == "empty" else "red\n")
    if case == "no package":
        monkeypatch.setitem(sys.modules, "open_clip", None)
    arguments = [str(config_file), "--set", f"outputs.names_from={words}"]
    arguments += ["--set", f"outputs.report={'false' if case == 'no report' else 'true'}"]
    for command in ("check", "run"):
        assert main([command, *arguments]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert case != "no package" or 'pip install "imgcluster[clip]"' in error
    assert not (tmp_path / "store").exists()


# ---- runs


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    pytest.importorskip("open_clip", reason="open_clip_torch is not installed")
    from tests.support.clip import published_clip

    with published_clip(tmp_path / "published", monkeypatch) as web:
        yield web


@pytest.fixture
def named(tmp_path: Path, config_file: Path, pictures: Path) -> list[str]:
    """Arguments of a run over the pictures of three colours and some of noise, with words for the colours."""
    for number in range(12, 16):
        noise = np.random.default_rng(number).integers(0, 256, (40, 48, 3)).astype(np.uint8)
        write_picture(pictures / f"{number:04d}.png", noise)
    (tmp_path / "words.txt").write_text("blue\ngreen\nred\nred\n")
    keys = [f"outputs.names_from={tmp_path / 'words.txt'}", "outputs.report=true", "images.ids=null"]
    keys += ["clusters.n_clusters=4", "outputs.submission=null"]
    return [str(config_file), *(part for key in keys for part in ("--set", key))]


def names_in(run: Path) -> dict[str, str]:
    """Return the names in a run's report, by the colour of the cluster's first image."""
    rows = [line.split(",") for line in (run / "clusters.csv").read_text().splitlines()[1:]]
    cluster_of = {row[0].partition(".")[0]: row[2] for row in rows}
    record = json.loads((run / "report" / "report.json").read_text())
    colours = {"red": "0000", "green": "0001", "blue": "0002", "noise": "0012"}
    return {colour: record["names"].get(cluster_of[id], {}).get("name", "") for colour, id in colours.items()}


def test_clusters_are_called_by_words_where_the_towers_agree(
    server: WebServer, named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *named, "--quiet"]) == 0
    expected = {"red": "red", "green": "green", "blue": "blue", "noise": ""}
    assert names_in(tmp_path / "out") == expected
    assert "no names" not in capsys.readouterr().err
    assert "Names are guesses: the word or phrase of" in (tmp_path / "out" / "report" / "index.html").read_text()
    assert main(["show", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {word} " in shown for word in ("red", "green", "blue"))
    server.requests.clear()
    assert main(["run", *named, "--quiet"]) == 0
    assert names_in(tmp_path / "out") == expected
    assert not server.requests


def test_images_and_phrases_are_embedded_once(
    server: WebServer, named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["run", *named, "--quiet"]) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("vectors-*")}
    monkeypatch.setattr("imgcluster.backbones.text_tower.network_with", lambda *args: pytest.fail("built again"))
    (tmp_path / "out" / "report" / "report.json").unlink()
    assert main(["report", str(tmp_path / "out"), "--quiet"]) == 0
    assert names_in(tmp_path / "out")["red"] == "red"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("vectors-*")} == before


def test_other_words_name_anew_and_none_brings_imagenets_back(
    server: WebServer, named: list[str], tmp_path: Path
) -> None:
    assert main(["run", *named, "--quiet"]) == 0
    (tmp_path / "words.txt").write_text("red\n")
    assert main(["run", *named, "--quiet"]) == 0
    assert names_in(tmp_path / "out")["red"] == "red"
    assert "green" not in names_in(tmp_path / "out").values()
    assert main(["run", *named, "--quiet", "--set", "outputs.names_from=null"]) == 0
    assert "words" not in json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert "red" not in names_in(tmp_path / "out").values()


@pytest.mark.parametrize("case", ["offline", "never", "too large", "damaged", "another network"])
def test_without_weights_the_run_succeeds_and_clusters_have_no_names(
    server: WebServer,
    named: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = {
        "offline": "connection refused",
        "never": "6 MB to download are more than features.download allows; get them: imgcluster weights get clip:",
        "too large": "6 MB to download are more than features.download allows",
        "damaged": "HTTP 404",
        "another network": "do not fit",
    }[case]
    if case == "offline":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    elif case in ("never", "too large"):
        named += ["--set", f"features.download={'never' if case == 'never' else '1 MB'}"]
    else:
        assert main(["weights", "get", NAMING_NETWORK, "--quiet"]) == 0
        place = place_of(find_backbone(NAMING_NETWORK))
        assert place is not None
        (server.root / find_backbone(NAMING_NETWORK).weights / "resolve" / "main" / place.name).unlink()
        data = place.read_bytes()
        if case == "damaged":
            place.write_bytes(data[:1000])
        else:
            place.unlink()
            place.write_bytes(data.replace(b"visual.proj", b"visual.pr0j"))
    assert main(["run", *named, "--quiet"]) == 0
    assert set(names_in(tmp_path / "out").values()) == {""}
    (warning,) = [each.getMessage() for each in caplog.records if "no names" in each.getMessage()]
    assert said in warning
    assert said.split(";")[0] in (tmp_path / "out" / "report" / "index.html").read_text()


def test_ten_thousand_words(server: WebServer, named: list[str], tmp_path: Path) -> None:
    words = ["red", "green", "blue", *(f"word {number}" for number in range(word_names.MAX_PHRASES - 3))]
    (tmp_path / "words.txt").write_text("\n".join(words))
    assert main(["run", *named, "--quiet"]) == 0
    assert set(names_in(tmp_path / "out").values()) <= {*words, ""}


# ---- weights


def test_weights_are_listed_got_packed_and_used(
    server: WebServer,
    named: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["weights", "list", "clip:"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == [NAMING_NETWORK, "6", "missing"]
    assert main(["weights", "get", NAMING_NETWORK, "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2] == "checked"
    assert main(["weights", "pack", str(tmp_path / "w.zip"), "--quiet"]) == 0
    assert f"packed    {NAMING_NETWORK}: " in capsys.readouterr().out
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["weights", "use", str(tmp_path / "w.zip"), "--quiet"]) == 0
    assert main(["run", *named, "--quiet"]) == 0
    assert names_in(tmp_path / "out")["red"] == "red"
