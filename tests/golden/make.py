"""`python -m tests.golden.make`: write the golden record anew, by the code as it is; or a part: `... make digits old`.

The parts are inputs, each of the inputs by its name, old and surface.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tests.golden import old
from tests.golden.cases import CASES, INPUTS, RECORDED, ROOT, SETUP, Imgcluster, as_json, lay_out, run_all, setup
from tests.golden.surface import surface

DIGITS = 40
PHOTOS = range(0, 480, 20)  # one or two of each photograph
PHOTO_PIXELS = 96
SHAPES = ("discs", "squares", "stripes")
OF_A_SHAPE = 6
MTIME = 1_600_000_000


def main(parts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["IMGCLUSTER_CACHE"] = f"{scratch}/cache"
        for part in parts or ("inputs", *CASES, "old", "surface"):
            folder = Path(scratch) / part
            folder.mkdir()
            if part in CASES:
                lay_out(folder)
                record(part, run_all(part, folder, imgcluster_in(folder)))
            else:
                PARTS[part](folder)


def imgcluster_in(folder: Path) -> Imgcluster:
    """Return what calls the command line in a folder."""

    def call(*arguments: str) -> str:
        command = [sys.executable, "-m", "imgcluster", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    return call


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def record(name: str, files: dict[str, str]) -> None:
    shutil.rmtree(RECORDED / name, ignore_errors=True)
    write_files(RECORDED / name, {**files, SETUP: as_json(setup())})


def record_surface(folder: Path) -> None:
    record("surface", surface(imgcluster_in(folder)))


# What is old one day.


def write_old(folder: Path) -> None:
    """Have all that `old` lists made in a folder, and pack it; then read it."""
    make_old(folder / "made")
    for name, read in (("read", old.read_all), ("undone", old.undo_all)):
        old.unpack(folder / name)
        record(f"old/{name}", read(folder / name, imgcluster_in(folder / name)))


def make_old(folder: Path) -> None:
    ids = sorted(path.stem for path in (INPUTS / "digits").iterdir())
    folder.mkdir()
    for name, some in (("images", ids[:20]), ("loose", ids[20:26]), ("new", ids[26:31])):
        (folder / name).mkdir()
        for id in some:
            shutil.copyfile(INPUTS / "digits" / f"{id}.png", folder / name / f"{id}.png")
    labels = [line for line in (INPUTS / "digits_truth.csv").read_text().splitlines() if line[:4] in ids[:20]]
    (folder / "config.yaml").write_text(old.CONFIG)
    (folder / "template.csv").write_text("".join(["ImageID,label\n", *(f"{id},0\n" for id in ids[:20])]))
    for name, lines in (("truth.csv", labels), ("few.csv", labels[::3])):
        (folder / name).write_text("".join(f"{line}\n" for line in ["ImageID,label", *lines]))
    for words in old.MADE:
        imgcluster_in(folder)(*words)
    shutil.rmtree(folder / "run" / "report")  # of which the most are libraries
    old.say_where(folder, str(folder), old.SOMEWHERE)
    with tarfile.open(old.ARCHIVE, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.add(folder, ".", filter=of_nobody)


def of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


# The inputs, of what `sample` writes.


def write_inputs(samples: Path) -> None:
    shutil.rmtree(INPUTS, ignore_errors=True)
    imgcluster = imgcluster_in(samples)
    imgcluster("sample", "digits", "digits")
    imgcluster("sample", "photos", "photos")
    write_digits(samples / "digits")
    write_photos(samples / "photos" / "test")
    write_archive(INPUTS / "shapes.tar")


def write_digits(sample: Path) -> None:
    """Take digits 0 to 4, as they come; their labels for every fourth; their pixels as features."""
    rows = [line.split(",") for line in (sample / "truth.csv").read_text().splitlines()[1:]]
    taken = [(id, label) for id, label in rows if int(label) < 5][:DIGITS]
    (INPUTS / "digits").mkdir(parents=True)
    for id, _ in taken:
        shutil.copyfile(sample / "test" / f"{id}.png", INPUTS / "digits" / f"{id}.png")
    truth = [f"{id},{label}\n" for id, label in taken]
    (INPUTS / "digits.csv").write_text("ImageID,label\n" + "".join(f"{id},0\n" for id, _ in taken))
    (INPUTS / "digits_truth.csv").write_text("ImageID,label\n" + "".join(truth))
    pictures = [decoded(INPUTS / "digits" / f"{id}.png")[..., 0] for id, _ in taken]
    pixels = [cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA).ravel() // 16 for picture in pictures]
    np.savez_compressed(
        INPUTS / "pixels.npz", ids=np.array([id for id, _ in taken]), vectors=np.array(pixels, np.float32)
    )


def write_photos(sample: Path) -> None:
    (INPUTS / "photos").mkdir()
    paths = sorted(sample.iterdir())
    for number in PHOTOS:
        small = cv2.resize(decoded(paths[number]), (PHOTO_PIXELS, PHOTO_PIXELS), interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        (INPUTS / "photos" / f"{paths[number].stem}.jpg").write_bytes(encoded.tobytes())


def write_archive(path: Path) -> None:
    """Write pictures of shapes in folders, one of a single colour, one that is broken off, and a file that is none."""
    members = {
        f"{shape}/{number}.png": encoded(draw(shape, number)) for shape in SHAPES for number in range(OF_A_SHAPE)
    }
    members["plain.png"] = encoded(np.full((40, 40, 3), 128, np.uint8))
    members["broken.png"] = members["discs/0.png"][:60]
    members["README.txt"] = b"no picture\n"
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), MTIME
            archive.addfile(member, io.BytesIO(data))


def draw(shape: str, number: int) -> np.ndarray:
    picture = np.full((48, 48, 3), 240, np.uint8)
    colour = (40 + 30 * number, 60, 200 - 25 * number)
    if shape == "discs":
        cv2.circle(picture, (24, 24), 10 + number, colour, -1)
    elif shape == "squares":
        cv2.rectangle(picture, (10 - number, 10), (36, 34 + number), colour, -1)
    else:
        for row in range(number, 48, 8):
            cv2.line(picture, (0, row), (47, row), colour, 2)
    return picture


def decoded(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def encoded(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


PARTS = {"inputs": write_inputs, "old": write_old, "surface": record_surface}

if __name__ == "__main__":
    main(sys.argv[1:])
