"""A run at a glance: every line fits the terminal, no name commands it, and nothing heavy is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from imgcluster.cli.format.overview import overview_lines
from imgcluster.cli.main import main
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.overview import run_overview
from imgcluster.runs.reader import clusters_digest
from imgcluster.utils.text import bar, can_show, columns_of, printable, shortened
from tests import ROOT
from tests.conftest import Command
from tests.support.folder_runs import make_run, write_run

IMAGES: dict[str, tuple[str, bytes | None]] = {
    "far.jpg": ("0", None),
    "mid.jpg": ("0", None),
    "near.jpg": ("0", None),
    "nearest.jpg": ("0", None),
    "other.jpg": ("1", None),
    "lost.jpg": ("-1", None),
    "lost2.jpg": ("-1", None),
    "bad.jpg": ("failed", None),
}
ORIGIN = {
    "backbone": "vgg16",
    "layer": "fc6",
    "dim": 4096,
    "weights": "imagenet",
    "runtime": "torch",
    "fallback": {"wanted": "vgg16 fc6", "taken": "efficientnet_lite0"},
}
RECORD: dict[str, Any] = {"finished": "2026-01-02T03:04:05+00:00", "features": [ORIGIN], "cluster_sizes": [4, 1, 0]}


def report(run: Path, record: object) -> None:
    (run / "report").mkdir(exist_ok=True)
    known = {**record, "clusters_sha256": clusters_digest(run)} if isinstance(record, dict) else record
    (run / "report" / "report.json").write_text(json.dumps(known))


@pytest.mark.parametrize(
    "found", [None, 5, [], {}, {"backbone": 5}, {"backbone": ["a"], "why": "", "passed_over": [5]}]
)
def test_a_damaged_record_of_a_choice_is_none(tmp_path: Path, found: object) -> None:
    make_run(tmp_path, IMAGES, **RECORD, auto_backbone=found)
    assert run_overview(tmp_path / "run").auto is None


def test_what_is_shown(tmp_path: Path, command: Command) -> None:
    make_run(tmp_path, IMAGES, names={"0": "descent"}, **RECORD)
    report(tmp_path / "run", {"silhouette": 0.25, "names": {"1": {"name": "tiger", "share": 0.61}}})
    done = command("show", "run", COLUMNS="60")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "run       run",
        "finished  2026-01-02T03:04:05+00:00",
        "images    8 in 2 clusters, 2 noise, 1 failed",
        "backbone  vgg16 fc6, 4096-d, imagenet",
        "FALLBACK  used efficientnet_lite0 instead of vgg16 fc6",
        "scored    silhouette 0.250, from -1 to 1",
        "",
        "     0  ███████████████  4   50.0%  descent",
        "        nearest.jpg, near.jpg, mid.jpg",
        "     1  ████             1   12.5%  tiger 61%?",
        "        other.jpg",
        " noise  ████████         2   25.0%",
        "        lost.jpg, lost2.jpg",
        "failed  ████             1   12.5%",
        "        bad.jpg",
        "",
        "next      python -m imgcluster report run",
    ]


def test_without_what_is_optional(tmp_path: Path, command: Command) -> None:
    make_run(tmp_path, {"a.jpg": ("0", None)})
    done = command("show", "run", "--typical", "0", COLUMNS="60")
    assert done.stdout.splitlines() == [
        "run       run",
        "finished  ",
        "images    1 in 1 clusters",
        "",
        "0  ███████████████  1  100.0%",
        "",
        "next      python -m imgcluster report run",
    ]


def test_a_terminal_without_blocks(tmp_path: Path, command: Command) -> None:
    make_run(tmp_path, {"a" * 100 + ".jpg": ("0", None)})
    done = command("show", "run", COLUMNS="40", PYTHONIOENCODING="ascii")
    assert "0  ##########  1  100.0%" in done.stdout
    assert "aaa..." in done.stdout
    assert "?" not in done.stdout


@pytest.mark.parametrize("columns", [10, 40, 60, 80, 300])
def test_every_line_fits(tmp_path: Path, columns: int) -> None:
    ids = [
        "<img src=x onerror=alert(1)>.jpg",
        "two\nlines \u202eand more\x1b[31m.jpg",
        "x" * 200 + ".jpg",
        "\u6f22\u5b57" * 50 + ".jpg",
        "e\u0301" * 60 + ".jpg",
        "quotes \" ' `.jpg",
    ]
    images: dict[str, tuple[str, bytes | None]] = {id: (str(place % 2), None) for place, id in enumerate(ids)}
    run = make_run(tmp_path, images, names={"0": "\u6f22" * 80}, **RECORD)
    report(run, {"names": {"1": {"name": "x\n" * 80, "share": 0.5}, "2": {"name": "n" * 99}}})
    lines = overview_lines(run_overview(run, typical=6), columns)[:-1]
    assert max(map(columns_of, lines)) <= max(40, min(columns, 120))
    assert all(line.isprintable() for line in lines)
    assert any(line.endswith("?") and " 50%?" in line for line in lines)


def test_ids_are_cut_in_the_middle_only_where_they_must(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"short.jpg": ("0", None), "long-" * 30 + "end.jpg": ("0", None)})
    found = run_overview(run)
    wide = overview_lines(found, 60)
    assert "   long-long-long-long-lon…long-long-long-end.jpg, short.jpg" in wide
    alone = overview_lines(run_overview(make_run(tmp_path, {"y" * 54: ("0", None)})), 60)
    assert "   " + "y" * 54 in alone


def test_many_ids_take_several_lines(tmp_path: Path) -> None:
    run = make_run(tmp_path, {f"image-{number:04d}.jpg": ("0", None) for number in range(9)})
    lines = overview_lines(run_overview(run, typical=9), 40)
    shown = [line.strip() for line in lines if ".jpg" in line]
    assert ", ".join(shown) == ", ".join(f"image-{number:04d}.jpg" for number in reversed(range(9)))
    assert len(shown) == 5


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, {**IMAGES, "two\nlines.jpg": ("1", None)}, **RECORD)
    report(run, {"silhouette": 0.25, "names": {"1": {"name": "tiger", "share": 0.61}}})
    assert main(["show", str(run), "--json", "--typical", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["silhouette"] == 0.25
    assert found["fallbacks"] == [ORIGIN["fallback"]]
    assert [group["typical"] for group in found["clusters"]] == [
        ["nearest.jpg", "near.jpg"],
        ["two\nlines.jpg", "other.jpg"],
    ]
    assert found["clusters"][1]["suggested"] == {"name": "tiger", "share": 0.61}
    assert [(group["label"], group["size"], group["share"]) for group in found["others"]] == [
        ("noise", 2, 2 / 9),
        ("failed", 1, 1 / 9),
    ]


@pytest.mark.parametrize(
    "record",
    [
        "no mapping",
        {"names": ["tiger"], "silhouette": "high"},
        {"names": {"0": "tiger", "1": {"name": 3}}, "silhouette": float("nan")},
        {"names": {"0": None, "1": {"share": 1}}},
    ],
)
def test_a_report_of_another_shape_is_passed_over(tmp_path: Path, record: object) -> None:
    run = make_run(tmp_path, IMAGES, **RECORD)
    plain = run_overview(run)
    report(run, record)
    assert run_overview(run) == plain
    (run / "report" / "report.json").write_bytes(b"\xff{")
    assert run_overview(run) == plain


def test_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, IMAGES)
    opened: list[str] = []

    def browser(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", browser)
    assert main(["show", str(run), "--open"]) == 1
    said = capsys.readouterr()
    assert said.err == f"imgcluster: {str(run)!r} has no report; python -m imgcluster report {run} makes it\n"
    assert opened == []
    (run / "report").mkdir()
    (run / "report" / "index.html").write_text("<p>")
    assert main(["show", str(run), "--open"]) == 0
    assert opened == [(run / "report" / "index.html").as_uri()]
    assert f"report    python -m imgcluster show {run} --open" in capsys.readouterr().out
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert main(["show", str(run), "--open"]) == 1
    page = str(run / "report" / "index.html")
    assert capsys.readouterr().err == f"imgcluster: no browser can be started here; open {page!r} yourself\n"


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not a run folder"):
        run_overview(tmp_path)
    run = make_run(tmp_path, IMAGES)
    with pytest.raises(ConfigError, match=r"^typical: -1; allowed: whole numbers >= 0"):
        run_overview(run, typical=-1)
    (run / "clusters.csv").write_text("id,path,cluster,distance,status\na,b,nought,1,ok\n")
    with pytest.raises(OutputError, match=r"clusters.csv' is damaged"):
        run_overview(run)
    (run / "clusters.csv").unlink()
    with pytest.raises(OutputError, match=r"clusters.csv': No such file or directory"):
        run_overview(run)


def test_a_run_of_no_images(tmp_path: Path) -> None:
    write_run(tmp_path, tmp_path, {}, cluster_sizes=[0])
    assert "images    0 in 0 clusters" in overview_lines(run_overview(tmp_path), 60)


def test_numbers_below_the_first_label_are_no_clusters(tmp_path: Path) -> None:
    lines = overview_lines(run_overview(make_run(tmp_path, {"a.jpg": ("1", None)}, cluster_sizes=[0, 1])), 60)
    assert "images    1 in 1 clusters" in lines
    assert [line.split()[0] for line in lines if line.endswith("%")] == ["1"]


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    make_run(tmp_path, IMAGES)
    code = (
        "import sys; from imgcluster.cli.main import main; main(['show', 'run']); "
        "main(['export-folders', 'run', 'out', '--undo']); "
        "print(*({'torch', 'sklearn', 'cv2', 'pandas'} & {*sys.modules}), 'loaded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "loaded"
    assert "images    8 in 2 clusters" in done.stdout


def test_the_pieces() -> None:
    assert shortened("0001-landing-site.jpg", 11) == "0001-…e.jpg"
    assert shortened("short", 5) == "short"
    assert shortened("\u6f22\u5b57\u6f22\u5b57", 6) == "\u6f22…\u5b57"
    assert columns_of(shortened("\u6f22" * 9, 6)) <= 6
    assert shortened("long enough", 0) == "…"
    assert columns_of("e\u0301\u6f22") == 3
    assert (bar(0, 9, 10), bar(1, 1000, 10), bar(9, 9, 10), bar(0, 0, 10)) == ("", "█", "█" * 10, "")
    assert (can_show("utf-8", "█"), can_show("latin-1", "█"), can_show(None, "█")) == (True, False, False)
    assert printable("tab\t") == "'tab\\t'"
    assert printable("\ud800") == "'\\ud800'"
