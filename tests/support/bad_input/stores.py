"""Bad stores, run folders and models: what a disk, a sync, a person or another version has made of good ones."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock

from tests.support.bad_input import RUN, case, prepared
from tests.support.warm import Nursery, Program, Running

GROUP = "stores and run folders"
TRUTH = "id,label\n" + "".join(f"{number:04d}.jpg,{'abc'[number % 3]}\n" for number in range(12))
BEFORE = (
    RUN,
    ("learn", "out", "truth.csv", "--out", "model"),
    ("export-folders", "out", "folders", "--copy"),
)
# What takes the folder of a run.
OF_RUN: dict[str, tuple[str, ...]] = {
    "show": ("show", "out"),
    "report": ("report", "out"),
    "export": ("export", "out", "made.npz", "--format", "npz"),
    "export-folders": ("export-folders", "out", "made", "--copy"),
    "stability": ("stability", "out", "--trials", "3"),
    "assign": ("assign", "out", "pictures", "--out", "made.csv"),
    "score": ("score", "out", "truth.csv"),
    "suggest": ("suggest", "out", "--out", "made.csv"),
    "spread": ("spread", "out", "truth.csv", "--out", "made.csv"),
    "explain": ("explain", "out"),
    "learn": ("learn", "out", "truth.csv", "--out", "made"),
}
PREDICT = ("predict", "model", "pictures", "--out", "made.csv")
UNDO = ("export-folders", "out", "folders", "--undo")
GARBAGE = bytes(range(256)) * 8
Spoil = Callable[[Path], object]
_kept: list[TemporaryDirectory[str]] = []


@cache
def good() -> Path:
    """Return a folder in which all went well: a store, a run, a model that was learned from it, folders of clusters."""
    _kept.append(TemporaryDirectory(prefix="imgcluster-good-"))
    folder = prepared(Path(_kept[0].name))
    (folder / "truth.csv").write_text(TRUTH)
    nursery = Nursery()
    for arguments in BEFORE:
        running = Running(Program("imgcluster", arguments, folder), nursery)
        _, stderr = running.communicate()
        assert running.wait() == 0, stderr
    nursery.close()
    return folder


def after_a_good_run(own: Path) -> None:
    """Put into a folder what is left of good work; the pictures there are the same as those that it was done with."""
    shutil.copytree(good(), own, dirs_exist_ok=True, symlinks=True)
    (own / "out" / "submission.csv").unlink()  # so that it is a new one that is compared


def same_submission(own: Path) -> None:
    """Raise AssertionError where a run's answers are not those of an undisturbed one."""
    for name in ("submission.csv", "clusters.csv"):
        assert (own / "out" / name).read_bytes() == (good() / "out" / name).read_bytes(), f"{name} is another one"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def garbage(path: Path) -> None:
    path.write_bytes(GARBAGE)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    path.chmod(0)


def swapped(path: Path) -> None:
    """Take the content of another file of the same folder."""
    others = sorted(each for each in path.parent.iterdir() if each.is_file() and each != path and each.stat().st_size)
    path.write_bytes(others[0].read_bytes())


def text(content: object) -> Spoil:
    return lambda path: path.write_text(content if isinstance(content, str) else json.dumps(content))


def changed(change: Callable[[Any], object]) -> Spoil:
    """Change what a JSON file says."""

    def spoil(path: Path) -> None:
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    return spoil


def on_copies(pattern: str, spoil: Spoil) -> Callable[[Path], None]:
    """Return what makes the files of a pattern bad, after good work."""

    def spoil_all(own: Path) -> None:
        after_a_good_run(own)
        files = sorted(own.glob(pattern))
        assert files, pattern
        for file in files:
            spoil(file)

    return spoil_all


# ---- the store: what is damaged is made anew, and the answers stay

STORE_FILES = {
    "meta.json": "store/efficient*/meta.json",
    "index": "store/efficient*/index-*.json",
    "vectors": "store/efficient*/vectors-*.npy",
}
WAYS: dict[str, Spoil] = {
    "cut in half": cut,
    "emptied": emptied,
    "of zeros": zeros,
    "of garbage": garbage,
    "swapped with another file": swapped,
    "removed": Path.unlink,
    "a folder": a_folder,
    "unreadable": unreadable,
}
NO_BYTES = ("removed", "a folder", "unreadable")  # of the ways
REMADE = r"set aside as .*\.damaged, its images are computed again"
DAMAGED = "meta.json' is damaged; remove '.*', its features are made again"
DENIED = "Permission denied"
# By file and way: what is said, and how it ends. Else: REMADE.
STORE_SAYS: dict[tuple[str, str], tuple[str, int]] = {
    **{("meta.json", way): (DAMAGED, 1) for way in ("cut in half", "emptied", "of zeros", "of garbage")},
    ("meta.json", "swapped with another file"): ("written", 0),  # an index, which has the fingerprint as well,
    ("meta.json", "removed"): ("written", 0),
    ("meta.json", "a folder"): ("Is a directory", 1),
    ("meta.json", "unreadable"): (DENIED, 1),
    ("index", "removed"): ("written", 0),
    ("index", "a folder"): ("Is a directory", 1),
    ("index", "unreadable"): (DENIED, 1),
    ("vectors", "a folder"): ("Is a directory", 1),
    ("vectors", "unreadable"): (DENIED, 1),
}

for _file, _pattern in STORE_FILES.items():
    for _way, _spoil in WAYS.items():
        _says, _code = STORE_SAYS.get((_file, _way), (REMADE, 0))
        case(
            f"store: {_file} {_way}",
            GROUP,
            _says,
            exit_code=_code,
            also=lambda own, code=_code: code or same_submission(own),
        )(on_copies(_pattern, _spoil))

STORES: dict[str, tuple[str, Spoil, str, int]] = {
    "a store of a newer format": (
        "store/efficient*/meta.json",
        changed(lambda meta: meta.update(format=99)),
        "newer",
        1,
    ),
    "a format that is text": (
        "store/efficient*/meta.json",
        changed(lambda meta: meta.update(format="1")),
        "written",
        0,
    ),
    "an index of other images": (
        "store/efficient*/index-*.json",
        changed(lambda index: [row.__setitem__(4, "0" * 32) or row.__setitem__(0, "/x") for row in index["images"]]),
        "written",
        0,
    ),
    "an index with a row less": (
        "store/efficient*/index-*.json",
        changed(lambda index: index["images"].pop()),
        REMADE,
        0,
    ),
    "an index with an image twice": (
        "store/efficient*/index-*.json",
        changed(lambda index: index["images"].append(index["images"][0])),
        REMADE,
        0,
    ),
    "an index of another fingerprint": (
        "store/efficient*/index-*.json",
        changed(lambda index: index.update(fingerprint="0" * 16)),
        REMADE,
        0,
    ),
    "vectors with a pickle in them": (
        "store/efficient*/vectors-*.npy",
        lambda path: np.save(path, np.array([{}] * 12)),
        REMADE,
        0,
    ),
    "vectors of 64 bits": (
        "store/efficient*/vectors-*.npy",
        lambda path: np.save(path, np.zeros((12, 1280))),
        REMADE,
        0,
    ),
    "vectors of another length": (
        "store/efficient*/vectors-*.npy",
        lambda path: np.save(path, np.zeros((11, 1280), np.float32)),
        REMADE,
        0,
    ),
    "a file in the place of the store": (
        "store",
        lambda path: (shutil.rmtree(path), path.touch()),
        "File exists|Not a directory",
        1,
    ),
    "files of others in the store": ("store", lambda path: (path / "notes.txt").write_text("mine"), "written", 0),
    "what a killed process left in the store": (
        "store/*",
        lambda path: (path / "vectors-00007.npy").write_bytes(GARBAGE),
        "written",
        0,
    ),
    "a store that one may not write": ("store/*", lambda path: path.chmod(0o555), DENIED, 1),
    "a store that one may not enter": ("store", lambda path: path.chmod(0), DENIED, 1),
}
for _name, (_pattern, _spoil, _says, _code) in STORES.items():
    case(_name, GROUP, _says, exit_code=_code, also=lambda own, code=_code: code or same_submission(own))(
        on_copies(_pattern, _spoil)
    )

_held: dict[Path, FileLock] = {}


def _hold(own: Path, pattern: str) -> None:
    after_a_good_run(own)
    _held[own] = FileLock(next(own.glob(pattern)))
    _held[own].acquire()


def _let_go(own: Path) -> None:
    _held.pop(own).release()


for _name, _pattern, _says in (
    ("a store that another run is writing", "store/efficient*/lock", "is in use by another run; wait for it to end"),
    ("a run folder that another run is writing", "out/.lock", "is being written by another run; wait for it to end"),
):
    case(_name, GROUP, _says, exit_code=1, ended=_let_go)(lambda own, pattern=_pattern: _hold(own, pattern))

# ---- the run folder, for a run

FOLDERS: dict[str, tuple[str, Spoil, str, int]] = {
    "a run folder of another config": (
        "out/run.json",
        changed(lambda it: it["config"]["clusters"].update(n_clusters=4)),
        "holds the run of another config",
        1,
    ),
    "a run folder with foreign files": ("out", lambda path: (path / "thesis.doc").write_text("mine"), "written", 0),
    "a submission that no run left": (
        "out",
        lambda path: (shutil.rmtree(path), path.mkdir(), (path / "submission.csv").touch()),
        "no run of imgcluster left there",
        1,
    ),
    "a file in the place of the run folder": (
        "out",
        lambda path: (shutil.rmtree(path), path.touch()),
        "'out' cannot be used",
        1,
    ),
    "a run folder that one may not write": (
        "out",
        lambda path: path.chmod(0o555),
        "outputs.folder: 'out' cannot be used: Permission denied",
        1,
    ),
    "clusters.csv that is a folder": ("out/clusters.csv", a_folder, "Is a directory", 1),
    "a run that was killed as it wrote": (
        "out/run.json",
        changed(lambda it: it.update(status="writing")),
        "written",
        0,
    ),
    **{
        f"run.json {way}, for run": ("out/run.json", spoil, "run.json' is damaged; overwrite the run with --force", 1)
        for way, spoil in {**WAYS, "that is a list": text([]), "nested too deep": text("[" * 100_000)}.items()
        if way not in ("removed",)
    },
    "run.json removed, for run": ("out/run.json", Path.unlink, "clusters.csv that no run of imgcluster left there", 1),
}
for _name, (_pattern, _spoil, _says, _code) in FOLDERS.items():
    case(_name, GROUP, _says, exit_code=_code, also=lambda own, code=_code: code or same_submission(own))(
        on_copies(_pattern, _spoil)
    )


# ---- the run folder, for all that takes one

DAMAGED_RECORD = r"'out/run\.json' is damaged"


def without(*names: str) -> dict[str, tuple[str, ...]]:
    """Return the commands but for those that do not look at a file."""
    return {name: command for name, command in OF_RUN.items() if name not in names}


RECORDS: dict[str, tuple[Spoil, str]] = {
    "cut in half": (cut, DAMAGED_RECORD),
    "with a state and no more": (text({"status": "done"}), DAMAGED_RECORD),
}
RECORDS_TO_SHOW: dict[str, tuple[Spoil, str]] = {
    **{
        way: (spoil, DAMAGED_RECORD)
        for way, spoil in WAYS.items()
        if way not in ("cut in half", "removed", "a folder", "unreadable")
    },
    "removed": (Path.unlink, "'out' is not a run folder"),
    "a folder": (a_folder, "'out' is not a run folder"),
    "unreadable": (unreadable, "'out' is not a run folder"),
    "that is a number": (text(7), DAMAGED_RECORD),
    "nested too deep": (text("[" * 100_000), DAMAGED_RECORD),
    "with counts that are text": (changed(lambda it: it.update(counts="many")), DAMAGED_RECORD),
    "with a config that is a list": (changed(lambda it: it.update(config=[])), DAMAGED_RECORD),
    "of a run that was killed": (
        changed(lambda it: it.update(status="writing")),
        "is not finished; run its config again",
    ),
}
NEWER = {"of a newer version": (changed(lambda it: it["config"]["clusters"].update(cheer=1)), "config")}
TABLES: dict[str, tuple[Spoil, str]] = {
    "cut in half": (cut, "clusters.csv"),
    "emptied": (emptied, "clusters.csv"),
}
TABLES_TO_SHOW: dict[str, tuple[Spoil, str]] = {
    **{way: (spoil, "clusters.csv") for way, spoil in WAYS.items() if way not in TABLES},
    "without a row": (lambda path: path.write_text("".join(path.read_text().splitlines(True)[:1])), "clusters.csv"),
    "with clusters that are names": (
        lambda path: path.write_text(path.read_text().replace(",0,", ",zero,")),
        "clusters.csv",
    ),
    "with a cluster of 4000 digits": (
        lambda path: path.write_text(path.read_text().replace(",0,", f",{'9' * 5000},")),
        "clusters.csv",
    ),
    "with distances that are words": (
        lambda path: path.write_text(re.sub(r"(jpg,[0-9],)", r"\1far", path.read_text())),
        "clusters.csv",
    ),
    "with semicolons, as a spreadsheet saves it": (
        lambda path: path.write_text(path.read_text().replace(",", ";")),
        "clusters.csv",
    ),
}


def _on_commands(file: str, ways: dict[str, tuple[Spoil, str]], commands: dict[str, tuple[str, ...]]) -> None:
    for way, (spoil, says) in ways.items():
        for name, command in commands.items():
            case(f"{Path(file).name} {way}, for {name}", GROUP, says, exit_code=1, commands=(command,))(
                on_copies(file, spoil)
            )


_on_commands("out/run.json", RECORDS, without("score"))
_on_commands("out/run.json", NEWER, without("score", "show", "export-folders"))
_on_commands("out/run.json", RECORDS_TO_SHOW, {"show": OF_RUN["show"]})
_on_commands("out/clusters.csv", TABLES, without("assign", "score"))
_on_commands("out/clusters.csv", TABLES_TO_SHOW, {"show": OF_RUN["show"]})

# ---- the clusterer, models, journals


def arrays(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(path: Path) -> None:
        with np.load(path) as file:
            state = dict(file)
        change(state)
        np.savez(path, **state)

    return spoil


CLUSTERERS: dict[str, tuple[Spoil, str]] = {
    **{way: (spoil, "clusterer.npz' is damaged") for way, spoil in WAYS.items() if way != "removed"},
    "removed": (Path.unlink, "has no clusterer.npz"),
    "with a pickle in it": (arrays(lambda it: it.update(centroids=np.array([{}, {}], object))), "damaged"),
    "without its centroids": (arrays(lambda it: it.pop("centroids")), "older imgcluster"),
    "of features of another length": (
        arrays(lambda it: it.update(centroids=np.zeros((3, 7)))),
        "damaged: it does not know features of 1,280 values",
    ),
    "of text": (arrays(lambda it: it.update(centroids=np.array(["a", "b"]))), "damaged"),
    "of NaN": (arrays(lambda it: it.update(centroids=np.full((3, 1280), np.nan))), "damaged"),
    "with a step that nobody knows": (arrays(lambda it: it.update(steps=np.array(["fly"]))), "damaged"),
}
_on_commands("out/clusterer.npz", CLUSTERERS, {"assign": OF_RUN["assign"]})
MODELS: dict[str, tuple[Spoil, str]] = {
    **{way: (spoil, "'model' is damaged") for way, spoil in WAYS.items() if way not in NO_BYTES},
    "removed": (Path.unlink, "'model' is not a model"),
    "a folder": (a_folder, "Is a directory"),
    "unreadable": (unreadable, DENIED),
}
_on_commands("model/model.json", MODELS, {"predict": PREDICT})
_on_commands("model/model.safetensors", MODELS, {"predict": PREDICT})
RECORDS_OF_MODELS: dict[str, tuple[Spoil, str]] = {
    "of a newer format": (changed(lambda it: it.update(format=99)), "another version of imgcluster"),
    "with a class less": (changed(lambda it: it["classes"].pop()), "damaged"),
    "with a key that nobody knows": (changed(lambda it: it.update(cheer=1)), "damaged"),
    "of another backbone": (
        changed(lambda it: it["features"].update(backbone="squeezenet1_1", weights="random")),
        "these features are not made as",
    ),
    "of features that are no mapping": (changed(lambda it: it.update(features=[1])), "damaged"),
    "of a classifier that nobody knows": (changed(lambda it: it.update(classifier="oracle")), "damaged"),
    "whose weights are not there": (
        changed(lambda it: it["features"].update(weights="backbone.safetensors")),
        "no such file",
    ),
}
_on_commands("model/model.json", RECORDS_OF_MODELS, {"predict": PREDICT})
JOURNALS: dict[str, tuple[Spoil, str]] = {
    **{
        way: (spoil, "not a journal that imgcluster wrote, or damaged; nothing was touched")
        for way, spoil in WAYS.items()
        if way not in ("swapped with another file", "removed", "a folder", "unreadable")
    },
    "a folder": (a_folder, "Is a directory"),
    "unreadable": (unreadable, DENIED),
}
_on_commands("folders/.imgcluster-journal.jsonl", JOURNALS, {"undo": UNDO})
